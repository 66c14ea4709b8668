// Package setup makes the two patterns on any endpoint that speaks AWS's
// public APIs: Strait or AWS itself. Upload makes what a fleet needs to send
// large data with credentials of its own prefix, Topic the role for
// connections scoped to one topic, Thing a device that can connect.
//
// It is a client: it knows no room of the server, and what it does could be
// typed with the AWS CLI. Everything may be run again: what is as it should be
// is left alone, what is missing or different is made, and a run that was
// interrupted is simply run again.
//
// Begin at NewSession, then Upload.
package setup
