package broker_test

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"strait"
	"strait/broker"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/B", false},
		{"a/b", "a/b/", false},
		{"+", "a", true},
		{"+", "/a", false},
		{"+/+", "/a", true},
		{"a/+", "a/", true},
		{"a/+", "a", false},
		{"a/+/c", "a/b/c", true},
		{"#", "a", true},
		{"#", "/", true},
		{"a/#", "a", false}, // AWS; the standard says true
		{"a/#", "a/", true},
		{"a/#", "a/b/c", true},
		{"a/+/#", "a/b", false},
		{"a/+/#", "a/b/c", true},
		{"#", "$aws/x", false},
		{"+/x", "$aws/x", false},
		{"$aws/#", "$aws/x", true},
		{"$aws/+", "$aws/x", true},
		{"a/#", "a/$x", true},
	} {
		if got := broker.Match(c.filter, c.topic); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.filter, c.topic, got, c.want)
		}
	}
}

func TestValid(t *testing.T) {
	long := strings.Repeat("x", 256)
	share := strings.Repeat("n", 128)
	for _, c := range []struct {
		name          string
		topic, filter bool
	}{
		{"a", true, true},
		{"/", true, true},
		{"", false, false},
		{long, true, true},
		{long + "x", false, false},
		{"1/2/3/4/5/6/7/8", true, true},
		{"1/2/3/4/5/6/7/8/9", false, false},
		{"$aws/rules/r/1/2/3/4/5/6/7/8", true, true},
		{"$aws/rules/r/1/2/3/4/5/6/7/8/9", false, false},
		{"$aws/rules/r/" + long, true, true},
		{"$aws/rules/r", true, true},
		{"$aws/rules/" + share + "n/" + long, false, false},
		{"a\x00b", false, false},
		{"a\xffb", false, false},
		{"ü/中", true, true},
		{"a/+", false, true},
		{"a/#", false, true},
		{"#", false, true},
		{"a#", false, false},
		{"a/#/b", false, false},
		{"a+/b", false, false},
		{"++", false, false},
		{"$share/n/1/2/3/4/5/6/7/8", false, true},
		{"$share/" + share + "/" + long, true, true}, // replaced below: too long as a topic
		{"$share/" + share + "n/a", true, false},
		{"$share/n", true, false},
		{"$share//a", true, false},
		{"$share/n/", true, false},
		{"$share/+/a", false, false},
	} {
		if len(c.name) > 256+13 {
			c.topic = false
		}
		if err := broker.ValidTopic(c.name); (err == nil) != c.topic {
			t.Errorf("ValidTopic(%q) = %v, want valid: %v", c.name, err, c.topic)
		} else if err != nil && strait.KindOf(err) != strait.Invalid {
			t.Errorf("ValidTopic(%q): kind %v", c.name, strait.KindOf(err))
		}
		if err := broker.ValidFilter(c.name); (err == nil) != c.filter {
			t.Errorf("ValidFilter(%q) = %v, want valid: %v", c.name, err, c.filter)
		}
	}
	for id, want := range map[string]bool{"a": true, "": false, "$x": false, strings.Repeat("i", 128): true, strings.Repeat("i", 129): false, "a\x00": false, "a/b#": true} {
		if err := broker.ValidClientID(id); (err == nil) != want {
			t.Errorf("ValidClientID(%q) = %v, want valid: %v", id, err, want)
		}
	}
}

// slowMatch says the same as Match by a regular expression.
func slowMatch(filter, topic string) bool {
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		switch l {
		case "+":
			levels[i] = `[^/]*`
		case "#":
			levels[i] = `.*`
		default:
			levels[i] = regexp.QuoteMeta(l)
		}
	}
	if (levels[0] == `[^/]*` || levels[0] == `.*`) && topic[0] == '$' {
		return false
	}
	return regexp.MustCompile(`(?s)\A` + strings.Join(levels, "/") + `\z`).MatchString(topic)
}

// slowValid says the same as ValidTopic and ValidFilter, rule by rule.
func slowValid(name string, filter bool) bool {
	if !utf8.ValidString(name) || strings.Contains(name, "\x00") {
		return false
	}
	counted := strings.Split(name, "/")
	if len(counted) > 3 && counted[0] == "$aws" && counted[1] == "rules" && counted[2] != "" && len(counted[2]) <= 128 {
		counted = counted[3:]
	} else if filter && len(counted) > 1 && counted[0] == "$share" {
		if len(counted) < 3 || counted[1] == "" || len(counted[1]) > 128 || strings.ContainsAny(counted[1], "+#") {
			return false
		}
		counted = counted[2:]
	}
	if n := len(strings.Join(counted, "/")); n == 0 || n > 256 || len(counted) > 8 {
		return false
	}
	levels := strings.Split(name, "/")
	for i, l := range levels {
		if !strings.ContainsAny(l, "+#") {
			continue
		}
		if !filter || len(l) != 1 || l == "#" && i != len(levels)-1 {
			return false
		}
	}
	return true
}

func FuzzTopics(f *testing.F) {
	f.Add("a/+/#", "a/b/c")
	f.Add("#", "$aws/rules/r/x")
	f.Add("$share/n/a/#", "a/")
	f.Add("$aws/rules/+/#", "$aws/rules/r/1/2/3/4/5/6/7/8")
	f.Fuzz(func(t *testing.T, filter, topic string) {
		for _, name := range []string{filter, topic} {
			if got, want := broker.ValidTopic(name) == nil, slowValid(name, false); got != want {
				t.Fatalf("ValidTopic(%q) = %v, want %v", name, got, want)
			}
			if got, want := broker.ValidFilter(name) == nil, slowValid(name, true); got != want {
				t.Fatalf("ValidFilter(%q) = %v, want %v", name, got, want)
			}
		}
		if broker.ValidFilter(filter) != nil || broker.ValidTopic(topic) != nil {
			return
		}
		if got, want := broker.Match(filter, topic), slowMatch(filter, topic); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", filter, topic, got, want)
		}
	})
}

func TestStoredMessageComesBack(t *testing.T) {
	m := broker.Message{Topic: "a/b", Payload: []byte("x"), QoS: 1, Retain: true, Publisher: "p", Trace: "t", Time: time.Unix(1, 2)}
	for _, retained := range []bool{false, true} {
		if retained {
			m.Properties = said
		}
		got, r, err := broker.DecodeMessage(broker.EncodeMessage(&m, retained))
		if err != nil || r != retained || !reflect.DeepEqual(*got, m) {
			t.Errorf("%+v came back as %+v (%v), %v", m, got, r, err)
		}
	}
}

// A stored message that decodes is, written back, the same bytes; what does
// not decode yields nothing.
func FuzzDecodeMessage(f *testing.F) {
	f.Add(broker.EncodeMessage(&broker.Message{Topic: "a/b", Payload: []byte("x"), QoS: 1, Publisher: "p", Trace: "t", Time: time.Unix(1, 2)}, true))
	f.Add([]byte{1, 0})
	f.Add(broker.EncodeMessage(&broker.Message{Topic: "a/b", Payload: []byte("x"), Properties: said}, false))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, retained, err := broker.DecodeMessage(b)
		if err != nil {
			if m != nil {
				t.Fatalf("DecodeMessage(%x) = %v and error %v", b, m, err)
			}
			return
		}
		again, r2, err := broker.DecodeMessage(broker.EncodeMessage(m, retained))
		if err != nil || r2 != retained || again.Topic != m.Topic || !bytes.Equal(again.Payload, m.Payload) ||
			again.QoS != m.QoS || again.Retain != m.Retain || again.Publisher != m.Publisher || again.Trace != m.Trace || !again.Time.Equal(m.Time) ||
			!reflect.DeepEqual(again.Properties, m.Properties) {
			t.Fatalf("%+v (%v) came back as %+v (%v), %v", m, retained, again, r2, err)
		}
	})
}
