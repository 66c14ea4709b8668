// Package local keeps facts in one directory on one machine: it is the
// state.Store of a house that stands alone, and its state.Bus.
//
// How it works. The facts are rows of one SQLite table (write-ahead log,
// synchronous=FULL). All changes go through one writer, which gathers whatever
// callers ask for at the same time into one transaction, so that many callers
// share one fsync (writer.go). Reads of hot facts are answered from a bounded
// cache (cache.go), all others and every list by SQLite's own snapshot reads,
// which wait for no writer. Watchers are fed from a bounded history of recent
// changes in memory (history.go, watch.go).
//
// Why no index of all facts in memory: object manifests and queued messages
// make millions of facts, and then an index would cost hundreds of bytes a fact
// and seconds at the start. With a bounded cache the memory and the time to
// open do not depend on how many facts there are.
//
// Begin with Open; what a Store promises stands in package state. The package
// does not know what a fact means, and it never looks into a value.
package local
