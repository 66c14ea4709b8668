// Package wire holds what answers look like on the wire, byte for byte: files
// of requests and the answers to them, in testdata. It holds tests only; begin
// with wire_test.go, which says how a file is read, and play one with
// -run TestWire/NAME. After a change that is meant, -update rewrites answers.
package wire
