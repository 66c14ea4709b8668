package vend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits of what a device may ask for.
const (
	MaxName     = 128
	MaxPurpose  = 32
	MaxToken    = 64 // of clientToken, bytes
	MaxEvent    = 128 << 10
	MinDuration = 15 * time.Minute
	MaxDuration = time.Hour // role chaining: the function itself is a session of a role
)

// A Request is a checked event.
type Request struct {
	Name        string // the thing's
	ClientToken string
	Purpose     string // "" or one more level of the prefix
	Duration    time.Duration
}

// Prefix is below what the credentials may write; it begins with the name of
// the thing and a slash, and ends with a slash.
func (r Request) Prefix() string {
	if r.Purpose == "" {
		return r.Name + "/"
	}
	return r.Name + "/" + r.Purpose + "/"
}

// ParseEvent reads {"name", "clientToken"?, "purpose"?, "duration"?}; other
// fields are ignored, null is absent. When the name is good and something else is not, it
// returns the error and a Request with the name (and the token, if that is good), so that the
// thing can be told; otherwise the Request is empty.
func ParseEvent(data []byte) (Request, error) {
	if len(data) > MaxEvent {
		return Request{}, fmt.Errorf("the event has %d bytes; at most %d are read", len(data), MaxEvent)
	}
	// A map, because encoding/json would match a field called "NAME" to a
	// struct's name, and the later one would win.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return Request{}, errors.New("the event is not a JSON object")
	}
	var r Request
	if err := text(fields["name"], &r.Name); err != nil || !ValidName(r.Name) {
		return Request{}, fmt.Errorf("name must be a thing's name: 1 to %d of a-z A-Z 0-9 : _ -", MaxName)
	}
	good := Request{Name: r.Name}
	if err := text(fields["clientToken"], &r.ClientToken); err != nil || !validToken(r.ClientToken) {
		return good, fmt.Errorf("clientToken must be a string of at most %d printable characters", MaxToken)
	}
	good.ClientToken = r.ClientToken
	if raw := fields["purpose"]; !absent(raw) {
		if err := text(raw, &r.Purpose); err != nil || !word(r.Purpose, MaxPurpose, false) {
			return good, fmt.Errorf("purpose must be 1 to %d of a-z A-Z 0-9 _ -", MaxPurpose)
		}
	}
	r.Duration = MaxDuration
	if raw := fields["duration"]; !absent(raw) {
		var seconds float64
		err := json.Unmarshal(raw, &seconds)
		if err != nil || seconds != math.Trunc(seconds) || seconds < MinDuration.Seconds() || seconds > MaxDuration.Seconds() {
			return good, fmt.Errorf("duration must be a whole number of seconds from %.0f to %.0f", MinDuration.Seconds(), MaxDuration.Seconds())
		}
		r.Duration = time.Duration(seconds) * time.Second
	}
	return r, nil
}

// ValidName tells whether s may be a thing's name: [a-zA-Z0-9:_-]{1,128}. So
// it is one level of a topic and of a key, and holds no wildcard or variable.
func ValidName(s string) bool { return word(s, MaxName, true) }

func word(s string, limit int, colon bool) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		case c == ':' && colon:
		default:
			return false
		}
	}
	return true
}

func validToken(s string) bool {
	if len(s) > MaxToken {
		return false
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func absent(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(raw, []byte("null"))
}

// text reads a string; absent leaves into alone.
func text(raw json.RawMessage, into *string) error {
	if absent(raw) {
		return nil
	}
	return json.Unmarshal(raw, into)
}
