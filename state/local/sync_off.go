//go:build nosync

package local

const durable = false
