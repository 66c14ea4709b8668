package mqtt

import (
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	"strait"
	"strait/door/mqtt/packet"
)

// Reason codes of MQTT 5 that are sent from here: those that AWS IoT Core
// documents, and where it documents none the standard's.
const (
	codeSuccess        byte = 0x00
	codeUnspecified    byte = 0x80
	codeMalformed      byte = 0x81
	codeProtocol       byte = 0x82
	codeVersion        byte = 0x84
	codeClientID       byte = 0x85
	codeNotAuthorized  byte = 0x87
	codeShuttingDown   byte = 0x8b
	codeAuthMethod     byte = 0x8c
	codeKeepAlive      byte = 0x8d
	codeTakenOver      byte = 0x8e
	codeFilter         byte = 0x8f
	codeTopic          byte = 0x90
	codeReceiveMaximum byte = 0x93
	codeAlias          byte = 0x94
	codeTooLarge       byte = 0x95 // AWS's lists lack it; what it sends is unverified
	codeQuota          byte = 0x97
	codeAdministrative byte = 0x98
	codeQoS            byte = 0x9b
	codeIdentifiers    byte = 0xa1
)

// A codeError is what a client did wrong, with the code for it in MQTT 5.
type codeError struct {
	code byte
	text string
}

func (e *codeError) Error() string { return "protocol error: " + e.text }
func (e *codeError) Unwrap() error { return errProtocol }

func coded(code byte, format string, args ...any) error {
	return &codeError{code, fmt.Sprintf(format, args...)}
}

// refusalCode is the code for what a Conn or Connector refuses; wrong is the
// one for a name that is wrong.
func refusalCode(err error, wrong byte) byte {
	if ce := (*codeError)(nil); errors.As(err, &ce) {
		return ce.code
	}
	switch strait.KindOf(err) {
	case strait.Denied, strait.Unauthenticated:
		return codeNotAuthorized
	case strait.Limit, strait.TooLarge:
		return codeQuota
	case strait.Invalid:
		return wrong
	}
	return codeUnspecified
}

// connectCode is the code of the CONNACK for a refused CONNECT.
func connectCode(err error) byte {
	wrong := codeTopic // the will's
	var e *strait.Error
	if errors.As(err, &e) && e.Thing == "client id" {
		wrong = codeClientID
	}
	return refusalCode(err, wrong)
}

// byeCode is the code of the DISCONNECT for an end.
func byeCode(why Reason, cause error) byte {
	if ce := (*codeError)(nil); errors.As(cause, &ce) {
		return ce.code
	}
	switch {
	case errors.Is(cause, packet.ErrProtocol): // one of the malformed
		return codeProtocol
	case errors.Is(cause, packet.ErrMalformed):
		return codeMalformed
	case errors.Is(cause, packet.ErrTooLarge):
		return codeTooLarge
	case errors.Is(cause, os.ErrDeadlineExceeded):
		return codeKeepAlive
	}
	switch why {
	case ClientError:
		return codeProtocol
	case KeepAliveTimeout:
		return codeKeepAlive
	case Refused, Forbidden, TooOld:
		return codeNotAuthorized
	case TakenOver:
		return codeTakenOver
	case Kicked:
		return codeAdministrative
	case Throttled:
		return codeQuota
	case Ended:
		return codeShuttingDown
	}
	return codeUnspecified
}

// plainly is what a client may read about an error: the sentence that was made
// for it, and the decision that it can ask about. It is "" for our own faults.
func plainly(err error) string {
	var e *strait.Error
	var ce *codeError
	switch {
	case errors.As(err, &ce):
		return ce.text
	case errors.As(err, &e):
		if id := e.Detail["DecisionId"]; id != "" {
			return e.Message + " (decision " + id + ")"
		}
		return e.Message
	case errors.Is(err, errProtocol), errors.Is(err, packet.ErrMalformed), errors.Is(err, packet.ErrTooLarge):
		return err.Error()
	}
	return ""
}

// maxReason bounds a reason string.
const maxReason = 1 << 10

// withReason returns the properties with a reason string, nil for none.
func withReason(text string) *packet.Properties {
	if text == "" {
		return nil
	}
	if len(text) > maxReason {
		text = text[:maxReason]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return &packet.Properties{Present: packet.Of(packet.ReasonString), ReasonString: text}
}
