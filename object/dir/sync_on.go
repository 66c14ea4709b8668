//go:build !nosync

package dir

// durable is false only with the build tag nosync, which exists so that a
// crash test can be seen to fail.
const durable = true
