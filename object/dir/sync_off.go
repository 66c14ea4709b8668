//go:build nosync

package dir

const durable = false
