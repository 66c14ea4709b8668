package rule

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"strait"
)

// Versions of the SQL. All of what is offered here means the same in each,
// but for whole decimals (10.0), which Version2016 and later turn into whole
// numbers (10).
const (
	Version2015 = "2015-10-08" // what a rule without a version gets
	Version2016 = "2016-03-23"
	VersionBeta = "beta"
)

// MaxDocument is how many bytes a rule may make of a message: what an
// asynchronous invocation may carry.
const MaxDocument = 256 * 1024

// A Statement is a parsed rule statement. It may be used from many goroutines.
type Statement struct {
	filter string // "" without FROM
	items  []item
	where  *term // nil without WHERE
	ints   bool  // whole decimals become whole numbers
}

// An item is one element of SELECT's list.
type item struct {
	star bool // '*', put under path or, without one, merged
	term term
	path []string
}

// An Input is the message that a statement is applied to. It remembers the
// parsed payload, so it must not be changed once used, nor used by two
// goroutines at the same time.
type Input struct {
	Topic     string // as topic() sees it: without the prefix of Basic Ingest
	Payload   []byte
	ClientID  string // "": clientid() is "n/a"
	Principal string // "": principal() is Undefined
	Trace     string // "": traceid() is Undefined
	Account   string
	Time      time.Time

	read     bool
	document []byte // the payload as compact JSON, nil when it is none
}

// Parse reads a statement:
//
//	SELECT item {, item} [FROM 'topic/filter'] [WHERE condition]
//
// An item is * [AS path] or an expression [AS path]; an expression that is
// neither a path nor a function needs its AS. Expressions are paths (a.b),
// literals ('text', "text", 1.5, -1, true, null), functions (topic, clientid,
// timestamp, principal, accountid, traceid, isNull, isUndefined), comparisons
// (= <> < <= > >=), AND, OR, NOT and parentheses.
//
// Everything else is refused with a sentence that names it: an error of kind
// Invalid and Thing "sql". version is one of the Versions or "".
func Parse(sql, version string) (*Statement, error) {
	switch version {
	case "", Version2015, Version2016, VersionBeta:
	default:
		return nil, strait.Errorf(strait.Invalid, "sql", "the SQL version %q is not known; there are %s, %s and %s", clip(version), Version2015, Version2016, VersionBeta)
	}
	if len(sql) > MaxSQL {
		return nil, strait.Errorf(strait.Invalid, "sql", "the SQL statement has %d bytes; at most %d are allowed", len(sql), MaxSQL)
	}
	if !utf8.ValidString(sql) {
		return nil, strait.Errorf(strait.Invalid, "sql", "the SQL statement is not UTF-8 text")
	}
	p := &parser{source: sql}
	s, err := p.statement()
	if err != nil {
		return nil, err
	}
	s.ints = version == Version2016 || version == VersionBeta
	return s, nil
}

// Filter returns the topic filter of FROM, "" when there is none: such a rule
// is reached by Basic Ingest only.
func (s *Statement) Filter() string { return s.filter }

// String returns the statement in one fixed form; parsed again, it is the same.
func (s *Statement) String() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, it := range s.items {
		if i > 0 {
			b.WriteString(", ")
		}
		if it.star {
			b.WriteString("*")
		} else {
			b.WriteString(it.term.text)
		}
		if it.path != nil {
			b.WriteString(" AS " + strings.Join(it.path, "."))
		}
	}
	if s.filter != "" {
		b.WriteString(" FROM " + quote(s.filter))
	}
	if s.where != nil {
		b.WriteString(" WHERE " + s.where.text)
	}
	return b.String()
}

// Eval applies the statement to in. ok tells whether WHERE holds; document is
// then the JSON that the actions get. It fails when there is no such JSON: *
// of a payload that is none (Invalid "payload"), or one of more than
// MaxDocument bytes (TooLarge "document").
func (s *Statement) Eval(in *Input) (document []byte, ok bool, err error) {
	in.parse()
	// 1. WHERE: only a true condition starts actions.
	if s.where != nil {
		if v := s.where.eval(in); v.kind != boolean || !v.flag {
			return nil, false, nil
		}
	}
	// 2. SELECT.
	if len(s.items) == 1 && s.items[0].star && s.items[0].path == nil {
		document, err = in.whole()
		document = bytes.Clone(document)
	} else {
		document, err = s.project(in)
	}
	if err == nil && len(document) > MaxDocument {
		err = strait.Errorf(strait.TooLarge, "document", "the rule makes a document of %d bytes of this message; at most %d are allowed", len(document), MaxDocument)
	}
	if err != nil {
		return nil, true, err
	}
	return document, true, nil
}

// project builds the object that SELECT's items describe.
func (s *Statement) project(in *Input) ([]byte, error) {
	var out object
	size := 0
	for _, it := range s.items {
		if !it.star {
			v := it.term.eval(in)
			if s.ints {
				v = v.wholeNumber()
			}
			size += v.size()
			out.set(it.path, v)
			continue
		}
		doc, err := in.whole()
		if err != nil {
			return nil, err
		}
		size += len(doc)
		switch {
		case it.path != nil:
			out.set(it.path, fromJSON(doc))
		case doc[0] == '{':
			for name, raw := range members(doc) {
				out.set([]string{name}, fromJSON(raw))
			}
		default:
			return nil, strait.Errorf(strait.Invalid, "payload", "the payload is no JSON object, so * cannot be merged with other items; use * AS name")
		}
		// Many "* AS x" of one large payload must not fill the memory.
		if size > 4*MaxDocument {
			return nil, strait.Errorf(strait.TooLarge, "document", "the rule makes a document of more than %d bytes of this message", MaxDocument)
		}
	}
	return out.append(nil), nil
}

// parse reads the payload once. It is JSON only when it is UTF-8, too: what
// goes on must not hold bytes that each reader repairs in another way.
func (in *Input) parse() {
	if in.read {
		return
	}
	in.read = true
	var buf bytes.Buffer
	if utf8.Valid(in.Payload) && json.Compact(&buf, in.Payload) == nil && buf.Len() > 0 {
		in.document = buf.Bytes()
	}
}

// whole is the value of *: any JSON, and {} for an empty payload, to which
// items can be added [DG Working with binary payloads].
func (in *Input) whole() ([]byte, error) {
	if in.document != nil {
		return in.document, nil
	}
	if len(in.Payload) == 0 {
		return []byte("{}"), nil
	}
	// AWS would pass the bytes to actions that take bytes; Lambda does not.
	return nil, strait.Errorf(strait.Invalid, "payload", "the payload is not JSON, and a function takes nothing else; select single values in place of *")
}

// lookup walks path through the payload.
func (in *Input) lookup(path []string) value {
	raw := in.document
	for _, name := range path {
		if raw = member(raw, name); raw == nil {
			return value{}
		}
	}
	return fromJSON(raw)
}
