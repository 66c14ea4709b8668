package rule

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

var collectionFunctions = map[string]builtin{
	"get":       {2, 2, false, true, get},
	"transform": {3, 3, true, false, transform},
}

// get chooses an element or a character by its index from 0, or a member by
// its name.
func get(_ *Input, a []value) value {
	of, key := a[0], a[1]
	if of.kind == objectKind {
		if key.kind != text {
			return value{}
		}
		if raw := member(of.raw, key.text); raw != nil {
			return fromJSON(raw)
		}
		return value{}
	}
	n, ok := key.asIndex()
	if !ok || key.kind != number || n < 0 {
		return value{}
	}
	switch of.kind {
	case arrayKind:
		for raw := range elements(of.raw) {
			if n--; n < 0 {
				return fromJSON(raw)
			}
		}
	case text:
		for _, r := range of.text {
			if n--; n < 0 {
				return textValue(string(r))
			}
		}
	}
	return value{}
}

// transform('enrichArray', object, array) adds the members of object to each
// element of array that is an object.
func transform(in *Input, a []value) value {
	if a[0].kind != text || a[0].text != "enrichArray" || a[1].kind != objectKind || a[2].kind != arrayKind {
		return value{}
	}
	out := []byte{'['}
	for raw := range elements(a[2].raw) {
		v := fromJSON(raw)
		if v.kind == objectKind {
			var o object
			for _, from := range [][]byte{raw, a[1].raw} {
				for name, m := range members(from) {
					o.set([]string{name}, fromJSON(m))
				}
			}
			v.raw = o.append(nil)
		}
		if out = appendElement(out, v); len(out) > 128*1024 || !in.charge(len(v.raw)) {
			in.fail(errLarge)
			return value{}
		}
	}
	return value{kind: arrayKind, raw: append(out, ']')}
}

// codeFunction reads encode(value or *, 'base64') and decode.
func (p *parser) codeFunction(word token) (term, error) {
	if err := p.newer(word, "the function "+word.text+"()"); err != nil {
		return term{}, err
	}
	star := p.peek().is("*")
	args, err := p.arguments(word, 2, many, true)
	if err != nil {
		return term{}, err
	}
	if !args[1].constant || args[1].known.kind != text || !strings.EqualFold(args[1].known.text, "base64") || len(args) > 2 {
		return term{}, p.refuse(word, "%s() is offered with 'base64' as its second argument and no more", word.text)
	}
	code := encode
	if word.is("decode") {
		code = decode
	}
	t := apply(word, args, func(in *Input, a []value) value {
		if star {
			return code(in, in.Payload)
		}
		s, ok := a[0].asText(in)
		if !ok {
			return value{}
		}
		return code(in, []byte(s))
	})
	return t, nil
}

func encode(in *Input, b []byte) value {
	if !in.charge(2 * len(b)) {
		return value{}
	}
	return textValue(base64.StdEncoding.EncodeToString(b))
}

// decode gives the JSON value that was encoded, else the text; what cannot be
// decoded is Null.
func decode(in *Input, b []byte) value {
	if !in.charge(2 * len(b)) {
		return value{}
	}
	out, err := base64.StdEncoding.DecodeString(string(b))
	if err != nil || !utf8.Valid(out) {
		return value{kind: null}
	}
	var compact bytes.Buffer
	if json.Compact(&compact, out) == nil && compact.Len() > 0 {
		return fromJSON(compact.Bytes())
	}
	return textValue(string(out))
}
