package mqtt

import (
	"bytes"
	"strings"

	"strait/door/mqtt/packet"
)

// Of MQTT 5's properties of messages: which come in, and how they go out.

// longestExpiry is AWS's: larger ones are taken for it, and 0 for 1.
const longestExpiry = 7 * 24 * 3600

// properties takes a message's properties from the wire. It returns nil when
// there are none that go with the message.
func (l *Limits) properties(in *packet.Properties) (*Properties, error) {
	if in == nil {
		return nil, nil
	}
	const carried = 1<<packet.PayloadFormat | 1<<packet.MessageExpiry | 1<<packet.ContentType | 1<<packet.ResponseTopic | 1<<packet.CorrelationData
	if in.Present&carried == 0 && len(in.User) == 0 {
		return nil, nil
	}
	out := &Properties{ContentType: in.ContentType, ResponseTopic: in.ResponseTopic, User: in.User}
	if in.Has(packet.PayloadFormat) {
		out.Format = 1 + in.PayloadFormat
	}
	if in.Has(packet.MessageExpiry) {
		out.Expiry = min(max(in.MessageExpiry, 1), longestExpiry)
	}
	if in.Has(packet.CorrelationData) {
		// A copy, so that the payload's neighbours are not kept with it.
		out.Correlation = bytes.Clone(in.CorrelationData)
	}
	// What AWS answers to these is unverified.
	switch {
	case len(out.ContentType) > l.ContentType:
		return nil, coded(codeQuota, "a content type of %d bytes; at most %d are allowed", len(out.ContentType), l.ContentType)
	case len(out.Correlation) > l.Correlation:
		return nil, coded(codeQuota, "correlation data of %d bytes; at most %d are allowed", len(out.Correlation), l.Correlation)
	case in.Has(packet.ResponseTopic) && (out.ResponseTopic == "" || strings.ContainsAny(out.ResponseTopic, "+#")):
		return nil, coded(codeTopic, "a response topic that is empty or holds a wildcard")
	}
	return out, l.users(in)
}

// users judges the user properties of any packet.
func (l *Limits) users(in *packet.Properties) error {
	if in == nil {
		return nil
	}
	n := 0
	for _, u := range in.User {
		n += len(u[0]) + len(u[1])
	}
	if n > l.User {
		return coded(codeQuota, "user properties of %d bytes; at most %d are allowed", n, l.User)
	}
	return nil
}

// fill puts a delivery's properties into out, which is used again and again.
func (d *Delivery) fill(out *packet.Properties) {
	*out = packet.Properties{}
	p := d.Properties
	if p == nil {
		return
	}
	put := func(there bool, id packet.Property) {
		if there {
			out.Present |= 1 << id
		}
	}
	put(p.Format != 0, packet.PayloadFormat)
	put(p.Expiry != 0, packet.MessageExpiry)
	put(p.ContentType != "", packet.ContentType)
	put(p.ResponseTopic != "", packet.ResponseTopic)
	put(p.Correlation != nil, packet.CorrelationData)
	if p.Format != 0 {
		out.PayloadFormat = p.Format - 1
	}
	if p.Expiry != 0 {
		out.MessageExpiry = d.Left
	}
	out.ContentType, out.ResponseTopic, out.CorrelationData, out.User = p.ContentType, p.ResponseTopic, p.Correlation, p.User
}

// aliases are the topics of one direction, by alias less one.
type aliases []string

// resolve returns the topic that a PUBLISH is about, and remembers it when it
// comes with an alias.
func (a *aliases) resolve(p *packet.Publish, most int) (string, error) {
	if !p.Props.Has(packet.TopicAlias) {
		if p.Topic == "" {
			return "", coded(codeProtocol, "a PUBLISH without topic and alias")
		}
		return p.Topic, nil
	}
	n := int(p.Props.TopicAlias)
	if n == 0 || n > most {
		return "", coded(codeAlias, "the topic alias %d; 1 to %d are allowed", n, most)
	}
	if *a == nil {
		*a = make(aliases, most)
	}
	if p.Topic != "" {
		(*a)[n-1] = p.Topic
	}
	if (*a)[n-1] == "" {
		return "", coded(codeProtocol, "the topic alias %d stands for nothing", n)
	}
	return (*a)[n-1], nil
}

// offer is the other direction: it returns the alias to send for a topic, and
// whether the client knows it. 0 is for no alias.
func (a aliases) offer(topic string, next *int) (alias uint16, known bool) {
	if len(a) == 0 {
		return 0, false
	}
	for i, t := range a {
		if t == topic {
			return uint16(i + 1), true
		}
	}
	*next = *next % len(a)
	return uint16(*next + 1), false
}
