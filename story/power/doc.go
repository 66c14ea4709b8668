// Package power takes the power away from a server and looks at what is left.
//
// A Trace is what strace saw a server do (trace.go): every write, sync and
// rename with its bytes, and every answer that it put on a socket, in one
// order. A Disk is the same as files and directories (disk.go): which change
// was made when, and which sync covered it. Disk.Rebuild lays out what a disk
// may hold when the current fails at one moment of that order: all that was
// synced, and of the rest whatever chance leaves (chance.go). Answers finds the
// moment at which each acknowledgement went out (answers.go).
//
// The order is strace's own. It stops a thread before a call and again after
// it, one thread at a time, and writes a line for each stop; so when one call
// ended before another began, the lines say so, across threads, too. Nothing
// rests on clocks.
//
// The package knows system calls and files. It refuses to know what the server
// stores; the tests, which begin in power_test.go and kill_test.go, do.
package power
