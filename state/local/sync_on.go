//go:build !nosync

package local

// durable is what a store is for. The build tag nosync turns it off, so that a
// power-loss test can be seen to fail; nothing that ships is built so.
const durable = true
