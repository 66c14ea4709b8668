package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"strait"
	"strait/broker"
)

// headers are what HTTP says of a message beside its payload: MQTT 5's
// properties, as parameters and headers (iot-shadow-and-data.md, section 6).
type headers struct {
	contentType, responseTopic, expiry string
	user                               string // base64 of a JSON array of objects
	format                             string
	correlation                        string // base64
}

// Limits of AWS IoT Core for them.
const (
	maxContentType = 256     // bytes
	maxCorrelation = 8 << 10 // bytes
	maxUser        = 8 << 10 // bytes of all names and values
	longestExpiry  = 7 * 24 * 3600
)

// properties returns nil when nothing is said.
func (h headers) properties() (*broker.Properties, error) {
	if h == (headers{}) {
		return nil, nil
	}
	p := &broker.Properties{ContentType: h.contentType, ResponseTopic: h.responseTopic}
	for _, set := range []func(*broker.Properties) error{h.setTexts, h.setFormat, h.setExpiry, h.setCorrelation, h.setUser} {
		if err := set(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (h headers) setTexts(p *broker.Properties) error {
	switch {
	case len(p.ContentType) > maxContentType || !text(p.ContentType):
		return strait.Errorf(strait.Invalid, "request", "contentType must be UTF-8 of at most %d bytes", maxContentType)
	case p.ResponseTopic != "" && broker.ValidTopic(p.ResponseTopic) != nil:
		return strait.Errorf(strait.Invalid, "request", "responseTopic must be a topic without wildcards")
	}
	return nil
}

// text tells whether s can stand in an MQTT packet.
func text(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func (h headers) setFormat(p *broker.Properties) error {
	switch h.format {
	case "":
	case "UNSPECIFIED_BYTES":
		p.Format = 1
	case "UTF8_DATA":
		p.Format = 2
	default:
		return strait.Errorf(strait.Invalid, "request", "payloadFormatIndicator must be UNSPECIFIED_BYTES or UTF8_DATA")
	}
	return nil
}

func (h headers) setExpiry(p *broker.Properties) error {
	if h.expiry == "" {
		return nil
	}
	n, err := strconv.ParseUint(h.expiry, 10, 63)
	if err != nil {
		return strait.Errorf(strait.Invalid, "request", "messageExpiry must be a number of seconds")
	}
	p.Expiry = uint32(min(max(n, 1), longestExpiry)) // as over MQTT
	return nil
}

func (h headers) setCorrelation(p *broker.Properties) (err error) {
	if h.correlation == "" {
		return nil
	}
	if p.Correlation, err = base64.StdEncoding.DecodeString(h.correlation); err != nil || len(p.Correlation) > maxCorrelation {
		return strait.Errorf(strait.Invalid, "request", "correlationData must be base64 of at most %d bytes", maxCorrelation)
	}
	return nil
}

func (h headers) setUser(p *broker.Properties) error {
	if h.user == "" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(h.user)
	if err != nil {
		return badUser()
	}
	p.User, err = decodeUser(b)
	return err
}

func badUser() error {
	return strait.Errorf(strait.Invalid, "request", `userProperties must be base64 of a JSON array of objects with text values, such as [{"name":"value"}], of at most %d bytes together`, maxUser)
}

// decodeUser reads user properties in their order; a name may come again.
func decodeUser(b []byte) (list [][2]string, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	next := func(want json.Token) bool {
		t, err := dec.Token()
		return err == nil && t == want
	}
	if !utf8.Valid(b) || !next(json.Delim('[')) {
		return nil, badUser()
	}
	sum := 0
	for dec.More() {
		if !next(json.Delim('{')) {
			return nil, badUser()
		}
		for dec.More() {
			var u [2]string
			for i := range u {
				t, err := dec.Token()
				s, ok := t.(string)
				if err != nil || !ok || !text(s) {
					return nil, badUser()
				}
				u[i] = s
				sum += len(s)
			}
			if sum > maxUser {
				return nil, badUser()
			}
			list = append(list, u)
		}
		if !next(json.Delim('}')) {
			return nil, badUser()
		}
	}
	if !next(json.Delim(']')) {
		return nil, badUser()
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, badUser()
	}
	return list, nil
}

// encodeUser is the other direction, one object for each; nil for none.
func encodeUser(list [][2]string) []byte {
	if len(list) == 0 {
		return nil
	}
	objects := make([]map[string]string, len(list))
	for i, u := range list {
		objects[i] = map[string]string{u[0]: u[1]}
	}
	b, err := json.Marshal(objects)
	if err != nil {
		panic(err) // strings only
	}
	return b
}
