package broker

import "errors"

// Causes of the end of a session, to be told apart with errors.Is.
var (
	ErrTakenOver = errors.New("the same client id has connected again")
	ErrKicked    = errors.New("the session was ended by the server")
	ErrEnded     = errors.New("the session has ended")
	ErrClosed    = errors.New("the broker is closed")
)

// SessionOptions are what a client says when it connects.
type SessionOptions struct {
	// Clean: forget what was kept for the client id, keep nothing afterwards.
	Clean bool
	// Will is published when the session ends otherwise than by a clean End.
	// Its Publisher is set to the client id.
	Will *Message
}

// An EndCause says how a connection ended.
type EndCause struct {
	Clean bool  // the client said goodbye (DISCONNECT): its will is not published
	Err   error // what Session.Cause shall return; nil stands for ErrEnded
}
