//go:build race

package broker_test

const raced = true
