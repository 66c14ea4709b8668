//go:build !nosync

package local_test

// lossy says that the package was built to lose what it acknowledged.
const lossy = false
