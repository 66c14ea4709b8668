package packet

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

func decodeConnect(body []byte) (*Connect, error) {
	// 1. Which protocol: nothing after it can be read before this is known.
	f := fields{b: body}
	name := f.text("protocol name")
	level := f.byte("protocol level")
	if f.err != nil {
		return nil, f.err
	}
	if !(name == "MQTT" && (level == byte(V311) || level == byte(V5))) && !(name == "MQIsdp" && level == byte(V31)) {
		return nil, &VersionError{Name: name, Level: level}
	}
	c := &Connect{Version: Version(level)}
	v5 := c.Version == V5

	// 2. The flags, which say what follows.
	flags := f.byte("connect flags")
	c.KeepAlive = f.uint16("keep-alive")
	c.Clean = flags&0x02 != 0
	c.HasPassword, c.HasUsername = flags&0x40 != 0, flags&0x80 != 0
	will, willQoS := flags&0x04 != 0, flags>>3&3
	switch {
	case flags&0x01 != 0:
		f.fail("the reserved connect flag is set")
	case willQoS == 3:
		f.fail("will QoS 3")
	case !will && flags&0x38 != 0:
		f.fail("will QoS or will retain without a will")
	case c.HasPassword && !c.HasUsername && !v5:
		f.fail("a password without a user name")
	}
	if v5 {
		c.Props = f.properties(inConnect)
	}

	// 3. The payload.
	c.ClientID = f.text("client id")
	if will {
		c.Will = &Will{QoS: willQoS, Retain: flags&0x20 != 0}
		if v5 {
			c.Will.Props = f.properties(inWill)
		}
		c.Will.Topic = f.topic("will topic")
		c.Will.Payload = f.bytes("will message")
	}
	if c.HasUsername {
		c.Username = f.text("user name")
	}
	if c.HasPassword {
		c.Password = f.bytes("password")
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	return c, nil
}

func decodeConnack(body []byte, v5 bool) (*Connack, error) {
	f := fields{b: body}
	flags := f.byte("connack flags")
	if flags > 1 {
		f.fail("connack flags %#x", flags)
	}
	p := &Connack{SessionPresent: flags == 1, Code: f.byte("connack code"), V5: v5}
	if v5 {
		p.Props = f.properties(inConnack)
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	return p, nil
}

// decodePublish decodes into p. It keeps p's topic when the new one is equal,
// because most publishers use one topic again and again.
func decodePublish(p *Publish, flags byte, body []byte, v5 bool) error {
	last := p.Topic
	*p = Publish{Dup: flags&0x08 != 0, QoS: flags >> 1 & 3, Retain: flags&0x01 != 0, V5: v5}
	f := fields{b: body}
	switch {
	case p.QoS == 3:
		f.fail("QoS 3")
	case p.QoS == 0 && p.Dup:
		f.fail("DUP with QoS 0")
	}
	topic := f.bytes("topic")
	switch {
	case f.err == nil && string(topic) == last && last != "":
		p.Topic = last
	case v5 && len(topic) == 0: // an alias must stand for it
	default:
		p.Topic = f.checkTopic("topic", topic)
	}
	if p.QoS > 0 {
		p.PacketID = f.packetID()
	}
	if v5 {
		p.Props = f.properties(inPublish)
	}
	p.Payload = f.b[:len(f.b):len(f.b)]
	if f.err != nil {
		*p = Publish{}
	}
	return f.err
}

func decodeAck(p *Ack, t Type, body []byte, v5 bool) error {
	f := fields{b: body}
	*p = Ack{Kind: t, PacketID: f.packetID(), V5: v5}
	switch {
	case !v5:
	case t == TypeUnsuback:
		p.Props = f.properties(1 << t)
		if p.Codes, f.b = f.b, nil; len(p.Codes) == 0 {
			f.fail("an UNSUBACK without codes")
		}
	case len(f.b) > 0: // nothing stands for reason 0, and no length for no properties
		p.Reason = f.byte("reason")
		if len(f.b) > 0 {
			p.Props = f.properties(1 << t)
		}
	}
	err := f.end()
	if err != nil {
		*p = Ack{}
	}
	return err
}

// decodeLeave reads a DISCONNECT or AUTH of MQTT 5.
func decodeLeave(t Type, body []byte) (*Leave, error) {
	f := fields{b: body}
	p := &Leave{Kind: t}
	if len(f.b) > 0 {
		p.Reason = f.byte("reason")
		if len(f.b) > 0 {
			p.Props = f.properties(1 << t)
		}
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	return p, nil
}

func decodeSubscribe(body []byte, v5 bool) (*Subscribe, error) {
	f := fields{b: body}
	p := &Subscribe{PacketID: f.packetID(), V5: v5}
	if v5 {
		p.Props = f.properties(inSubscribe)
	}
	for more := true; more; more = f.err == nil && len(f.b) > 0 {
		s := Subscription{Filter: f.filter(), QoS: f.byte("requested QoS")}
		if v5 {
			s.options(&f)
		}
		if s.QoS > 2 {
			f.fail("requested QoS above 2")
		}
		p.Subscriptions = append(p.Subscriptions, s)
	}
	if f.err != nil {
		return nil, f.err
	}
	return p, nil
}

// options takes the options of MQTT 5 out of the byte that holds the QoS.
func (s *Subscription) options(f *fields) {
	o := s.QoS
	s.QoS, s.NoLocal, s.RetainAsPublished, s.RetainHandling = o&3, o&4 != 0, o&8 != 0, o>>4&3
	if o>>6 != 0 || s.RetainHandling == 3 {
		f.fail("subscription options %#02x", o)
	}
}

func decodeSuback(body []byte, v5 bool) (*Suback, error) {
	f := fields{b: body}
	p := &Suback{PacketID: f.packetID(), V5: v5}
	if v5 {
		p.Props = f.properties(1 << TypeSuback)
	}
	p.Codes = f.b
	if len(p.Codes) == 0 {
		f.fail("a SUBACK without codes")
	}
	for _, c := range p.Codes {
		if c > 2 && (c < 0x80 || c > 0x80 && !v5) {
			f.fail("unknown SUBACK code")
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	return p, nil
}

func decodeUnsubscribe(body []byte, v5 bool) (*Unsubscribe, error) {
	f := fields{b: body}
	p := &Unsubscribe{PacketID: f.packetID(), V5: v5}
	if v5 {
		p.Props = f.properties(1 << TypeUnsubscribe)
	}
	for more := true; more; more = f.err == nil && len(f.b) > 0 {
		p.Filters = append(p.Filters, f.filter())
	}
	if f.err != nil {
		return nil, f.err
	}
	return p, nil
}

// fields cuts a body into its fields. After the first fault every cut is
// empty, and err tells the fault.
type fields struct {
	b   []byte
	err error
}

func (f *fields) fail(format string, args ...any) { f.failAs(ErrMalformed, format, args...) }

// forbid is fail for what MQTT 5 calls a Protocol Error and not malformed (1.2).
func (f *fields) forbid(format string, args ...any) { f.failAs(ErrProtocol, format, args...) }

func (f *fields) failAs(kind error, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
	}
	f.b = nil
}

func (f *fields) take(n int, what string) []byte {
	if f.err == nil && len(f.b) < n {
		f.fail("%s is cut off", what)
	}
	if f.err != nil {
		return nil
	}
	cut := f.b[:n:n]
	f.b = f.b[n:]
	return cut
}

func (f *fields) byte(what string) byte {
	if b := f.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) uint16(what string) uint16 {
	if b := f.take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (f *fields) packetID() uint16 {
	id := f.uint16("packet id")
	if id == 0 {
		f.forbid("packet id 0")
	}
	return id
}

func (f *fields) bytes(what string) []byte { return f.take(int(f.uint16(what)), what) }

// text is UTF-8 without U+0000 (1.5.3). Go's notion of valid UTF-8 excludes
// surrogates, as the standard's does.
func (f *fields) text(what string) string { return f.checkText(what, f.bytes(what)) }

func (f *fields) checkText(what string, b []byte) string {
	if f.err != nil {
		return ""
	}
	s := string(b)
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		f.fail("%s is not UTF-8 without NUL", what)
		return ""
	}
	return s
}

// topic is a name that one can publish to.
func (f *fields) topic(what string) string { return f.checkTopic(what, f.bytes(what)) }

func (f *fields) checkTopic(what string, b []byte) string {
	s := f.checkText(what, b)
	if f.err == nil && (s == "" || strings.ContainsAny(s, "+#")) {
		f.fail("%s is empty or holds a wildcard", what)
		return ""
	}
	return s
}

func (f *fields) filter() string {
	s := f.text("topic filter")
	if f.err == nil && s == "" {
		f.fail("topic filter is empty")
	}
	return s
}

func (f *fields) end() error {
	if f.err == nil && len(f.b) > 0 {
		f.fail("%d bytes too many", len(f.b))
	}
	return f.err
}
