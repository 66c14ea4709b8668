//go:build nosync

package local_test

const lossy = true
