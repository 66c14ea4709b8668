package shadow

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"

	"strait"
)

// Limits of documents (iot-shadow-and-data.md, section 3).
const (
	maxState   = 8 << 10   // bytes of desired and reported, written without blanks
	maxLevels  = 8         // of names below desired or reported
	maxToken   = 64        // bytes
	maxMessage = 128 << 10 // bytes of a request, and of what is told of it
)

func invalid(format string, args ...any) error {
	return strait.Errorf(strait.Invalid, "shadow", format, args...)
}

func tooLarge() error {
	return strait.Errorf(strait.TooLarge, "shadow", "The payload exceeds the maximum size allowed")
}

// An object is a JSON object whose numbers are kept as they were written. It
// is never changed once it stands in a document.
type object = map[string]any

// A section is desired or reported of an update.
type section struct {
	given  bool
	remove bool // null was given
	set    object
}

// A change is a request to update, read.
type change struct {
	token             string
	version           *int64
	state             object // as it came
	desired, reported section
}

// TokenOf returns the client's token of a request that is refused before it is
// looked at; "" when it has none.
func TokenOf(request []byte) string {
	token, _ := tokenOf(request)
	return token
}

// tokenOf returns the client's token of a request, as far as it can be read,
// and refuses one that is none.
func tokenOf(request []byte) (string, error) {
	var r map[string]json.RawMessage
	if len(request) > maxMessage || json.Unmarshal(request, &r) != nil {
		return "", nil // there need not be anything to read
	}
	return readToken(r["clientToken"])
}

func readToken(raw json.RawMessage) (string, error) {
	if raw == nil || string(raw) == "null" {
		return "", nil
	}
	var s string
	if json.Unmarshal(raw, &s) != nil || len(s) > maxToken {
		return "", invalid("Invalid clientToken")
	}
	return s, nil
}

// readChange reads a request to update. Members that are not known are
// overlooked. The token is returned also when the rest is refused.
func readChange(request []byte) (c change, err error) {
	// 1. Is it JSON?
	if len(request) > maxMessage {
		return c, tooLarge()
	}
	if !utf8.Valid(request) {
		return c, strait.Errorf(strait.Invalid, "encoding", "Unsupported documented encoding; supported encoding is UTF-8")
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(request, &top) != nil || top == nil {
		return c, invalid("Invalid JSON")
	}
	// 2. What goes with the state.
	if c.token, err = readToken(top["clientToken"]); err != nil {
		return c, err
	}
	if raw := top["version"]; raw != nil && string(raw) != "null" {
		v, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || v < 0 {
			return c, invalid("Invalid version")
		}
		c.version = &v
	}
	// 3. The state.
	raw, ok := top["state"]
	if !ok {
		return c, invalid("Missing required node: state")
	}
	state, err := decode(raw)
	if err != nil {
		return c, invalid("Invalid JSON")
	}
	if c.state, ok = state.(object); !ok {
		return c, invalid("State node must be an object")
	}
	return c, c.readState()
}

func (c *change) readState() (err error) {
	for name, v := range c.state {
		switch name {
		case "desired":
			c.desired, err = readSection("Desired", v)
		case "reported":
			c.reported, err = readSection("Reported", v)
		default:
			err = invalid("State contains an invalid node: '%s'", short(name))
		}
		if err != nil {
			return err
		}
	}
	if len(encode(c.state)) > maxState {
		return tooLarge()
	}
	return nil
}

// short keeps a stranger's word from filling an answer.
func short(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}

func readSection(name string, v any) (section, error) {
	if v == nil {
		return section{given: true, remove: true}, nil
	}
	o, ok := v.(object)
	if !ok {
		return section{}, invalid("%s node must be an object", name)
	}
	return section{given: true, set: o}, check(o, 1, false)
}

// check refuses what a document cannot hold: too many levels, and null in an
// array, where it removes nothing.
func check(v any, level int, inArray bool) error {
	switch v := v.(type) {
	case object:
		if level > maxLevels {
			return invalid("JSON contains too many levels of nesting; maximum is 6") // AWS's words; it counts as we do
		}
		for _, e := range v {
			if err := check(e, level+1, inArray); err != nil {
				return err
			}
		}
	case []any:
		if level > maxLevels {
			return invalid("JSON contains too many levels of nesting; maximum is 6")
		}
		for _, e := range v {
			if err := check(e, level+1, true); err != nil {
				return err
			}
		}
	case nil:
		if inArray {
			return invalid("State contains an invalid node")
		}
	}
	return nil
}

func decode(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err = d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err = d.Token(); err != io.EOF {
		return nil, invalid("Invalid JSON")
	}
	return v, nil
}

// encode writes what decode has read, or what was made of it; names sorted.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // objects, arrays, strings, numbers that were read, and bools only
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
