package rule

import (
	"bytes"
	"encoding/json"
	"iter"
)

// This file reads objects of JSON that is valid and compact already (see
// Input.parse), and builds new ones, keeping the order of members and the
// digits of numbers, which encoding/json's maps would lose.

// members yields the names and values of object in the order they stand.
func members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for rest := object[1:]; rest[0] != '}'; {
			n := valueEnd(rest)
			name := rest[:n]
			rest = rest[n+1:] // and the colon
			n = valueEnd(rest)
			if !yield(unquote(name), rest[:n:n]) {
				return
			}
			if rest = rest[n:]; rest[0] == ',' {
				rest = rest[1:]
			}
		}
	}
}

// member returns the value of the last member called name, as every JSON
// reader would choose, or nil; nil, too, when raw is no object.
func member(raw []byte, name string) (found []byte) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	for n, v := range members(raw) {
		if n == name {
			found = v
		}
	}
	return found
}

// valueEnd returns the length of the value that raw begins with.
func valueEnd(raw []byte) int {
	depth := 0
	for at := 0; at < len(raw); at++ {
		switch raw[at] {
		case '"':
			for at++; raw[at] != '"'; at++ {
				if raw[at] == '\\' {
					at++
				}
			}
			if depth == 0 {
				return at + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at
			}
			if depth--; depth == 0 {
				return at + 1
			}
		case ',', ':':
			if depth == 0 {
				return at
			}
		}
	}
	return len(raw)
}

func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	_ = json.Unmarshal(raw, &s) // valid already
	return s
}

// An object is built by setting members; a member set again moves to the end.
// That matters: some readers take names without regard to case and keep the
// last, so what a rule adds must stand behind what the payload brought.
type object struct {
	members []built
	index   map[string]int // by name; members that were taken out are not in it
}

type built struct {
	name  string
	value value
	sub   *object // in place of value
	gone  bool
}

// set puts v under path, making objects on the way where there are none. An
// Undefined v takes away what is there: a name that the rule gives must never
// fall back to the payload's (AWS's behaviour is unverified).
func (o *object) set(path []string, v value) {
	name := path[0]
	at, exists := o.index[name]
	if len(path) == 1 {
		if exists {
			o.members[at].gone = true
			delete(o.index, name)
		}
		if v.kind != undefined {
			o.add(built{name: name, value: v})
		}
		return
	}
	if v.kind == undefined && (!exists || !o.members[at].holdsObject()) {
		return
	}
	if exists && o.members[at].holdsObject() {
		o.members[at].open().set(path[1:], v)
		return
	}
	sub := &object{}
	sub.set(path[1:], v)
	if exists {
		o.members[at].gone = true
	}
	o.add(built{name: name, sub: sub})
}

func (o *object) add(b built) {
	if o.index == nil {
		o.index = make(map[string]int)
	}
	o.index[b.name] = len(o.members)
	o.members = append(o.members, b)
}

func (b *built) holdsObject() bool { return b.sub != nil || b.value.kind == objectKind }

// open turns a member that holds an object as JSON into one that can be set.
func (b *built) open() *object {
	if b.sub == nil {
		b.sub = &object{}
		for name, raw := range members(b.value.raw) {
			b.sub.set([]string{name}, fromJSON(raw))
		}
		b.value = value{}
	}
	return b.sub
}

func (o *object) append(to []byte) []byte {
	to = append(to, '{')
	first := true
	for _, m := range o.members {
		if m.gone {
			continue
		}
		if !first {
			to = append(to, ',')
		}
		first = false
		to = append(appendText(to, m.name), ':')
		if m.sub != nil {
			to = m.sub.append(to)
		} else {
			to = m.value.append(to)
		}
	}
	return append(to, '}')
}

// elements yields the elements of array in order.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := array[1:]; rest[0] != ']'; {
			n := valueEnd(rest)
			if !yield(rest[:n:n]) {
				return
			}
			if rest = rest[n:]; rest[0] == ',' {
				rest = rest[1:]
			}
		}
	}
}

// appendElement adds v to an array that is not closed yet.
func appendElement(array []byte, v value) []byte {
	if len(array) > 1 {
		array = append(array, ',')
	}
	return v.append(array)
}
