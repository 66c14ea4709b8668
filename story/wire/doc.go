// Package wire holds what answers look like on the wire, byte for byte: files
// of requests and the answers to them, in testdata, for every row of every
// control plane. It holds tests only; begin with wire_test.go, which says how a
// file is read, and play one with -run TestWire/NAME. After a change that is
// meant, -update rewrites answers. rows_test.go fails for a row that no file
// shows; model_test.go holds every answer against AWS's own models.
package wire
