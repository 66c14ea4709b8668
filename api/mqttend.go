package api

import (
	"context"
	"errors"

	"strait"
	"strait/broker"
)

// expel closes the connection from this side, and records why.
func (c *Connection) expel(reason, why string) {
	caller := c.guard.Caller()
	c.m.Authorizer.Recorder.Event(c.trace, caller.ClientID, "Disconnect", why+": the connection was closed", true)
	c.end(broker.EndCause{Err: &expelled{reason, why}})
}

// expelled is why a connection was closed from this side.
type expelled struct{ reason, why string }

func (e *expelled) Error() string { return e.why }

func (c *Connection) end(cause broker.EndCause) {
	c.once.Do(func() {
		c.forget()
		c.session.End(context.Background(), cause)
	})
}

func (c *Connection) forget() {
	c.m.mu.Lock()
	if id := c.session.ClientID(); c.m.live[id] == c {
		delete(c.m.live, id)
	}
	c.m.mu.Unlock()
}

// Recheck closes every connection whose principal is gone; it is called after
// each change of the directory.
func (m *MQTT) Recheck() {
	m.mu.Lock()
	var gone []*Connection
	for _, c := range m.live {
		if !c.guard.Alive() {
			gone = append(gone, c)
		}
	}
	m.mu.Unlock()
	for _, c := range gone {
		c.expel(authError, goneBecause(c.guard.Caller().Kind))
	}
}

func goneBecause(k strait.PrincipalKind) string {
	switch k {
	case strait.Certificate:
		return "the certificate is no longer ACTIVE"
	case strait.AssumedRole:
		return "the role was deleted"
	}
	return "the access key is no longer active"
}

// Connections returns how many clients are connected.
func (m *MQTT) Connections() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.live)
}

// Done is closed when the connection was ended from this side.
func (c *Connection) Done() <-chan struct{} { return c.session.Done() }

// End ends the connection, which it is called for once. reason is a word of
// AWS's lifecycle events, as far as the door knows it; clean means that the
// will is void.
func (c *Connection) End(reason string, clean bool) {
	if c.session.Cause() != nil { // then we knew before the door did
		reason, _ = c.Cause()
	}
	c.end(broker.EndCause{Clean: clean})
	c.tellDisconnected(reason)
	c.m.leave(c)
	if c.m.Meters != nil {
		c.m.Meters.Ended.Add(1, reason)
	}
}

// Cause returns why the connection was ended from this side: the word of
// lifecycle events, and a sentence.
func (c *Connection) Cause() (reason, why string) {
	err := c.session.Cause()
	var e *expelled
	switch {
	case err == nil:
		return "", ""
	case errors.As(err, &e):
		return e.reason, e.why
	case errors.Is(err, broker.ErrTakenOver):
		reason = "DUPLICATE_CLIENTID"
	case errors.Is(err, broker.ErrKicked):
		reason = "API_INITIATED_DISCONNECT"
	default:
		reason = "SERVER_INITIATED_DISCONNECT"
	}
	return reason, err.Error()
}

func plainly(err error) string {
	var e *strait.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
