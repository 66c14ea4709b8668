package rule

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"strait"
)

// Versions of the SQL. Version2016 and later turn whole decimals (10.0) into
// whole numbers (10) and have more: literals of objects and arrays, nested
// queries, SELECT VALUE of an array, and functions that Version2015 lacks.
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
	selection
	filter    string // "" without FROM
	ints      bool   // whole decimals become whole numbers
	asks      bool
	wants     []string // see Asker.Offers
	roles     []strait.ARN
	functions []strait.ARN // that aws_lambda invokes
}

// A selection is what a statement and a nested query have in common.
type selection struct {
	bare  bool // SELECT VALUE
	items []item
	where *term // nil without WHERE
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
	// Properties are what an MQTT 5 publisher sent beside the payload, or nil.
	Properties *Properties
	// Ask answers the functions that ask outside (Statement.Asks). Without it,
	// or when it fails, so does Eval.
	Ask func(Question) ([]byte, error)

	read     bool
	document []byte // the payload as compact JSON, nil when it is none
	here     []byte // what names are looked up in: document, or the element of a nested query
	inner    bool   // within a nested query
	ints     bool   // see Statement
	budget   int    // bytes that may still be looked at
	err      error  // why there will be no document
	outside  bool   // err came from Ask
}

// Properties of an MQTT 5 message.
type Properties struct {
	ContentType, ResponseTopic string // "" when absent
	Correlation                []byte // nil when absent
	Text                       bool   // the payload format indicator is UTF-8
	User                       []UserProperty
}

// A UserProperty is a name and a value; a name may come again.
type UserProperty struct{ Name, Value string }

// maxWork bounds the bytes that one message makes one statement look at:
// payload and statement are a stranger's, and together they could ask for much.
const maxWork = 64 << 20

// charge takes n bytes of work from the budget; false, for good, when there
// are no more.
func (in *Input) charge(n int) bool {
	if in.budget -= n + 16; in.budget < 0 {
		in.fail(strait.Errorf(strait.TooLarge, "document", "the rule takes too much work for this message"))
	}
	return in.err == nil
}

// fail gives the evaluation up; the first reason stays.
func (in *Input) fail(err error) {
	if in.err == nil {
		in.err = err
	}
}

// Parse reads a statement:
//
//	SELECT [VALUE] item {, item} [FROM 'topic/filter'] [WHERE condition]
//
// An item is * [AS path] or an expression [AS path]; an expression that is
// neither a path nor a function needs its AS. Expressions are paths (a.b),
// literals ('text', "text", 1.5, -1, true, null, {'a': 1}, [1, 2]), functions,
// CASE v WHEN t THEN r ELSE e END, nested queries (SELECT a FROM b.c WHERE d),
// + - * / %, comparisons (= <> < <= > >=), AND, OR, NOT and parentheses.
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
	p := &parser{source: sql, modern: version == Version2016 || version == VersionBeta}
	s, err := p.statement()
	if err != nil {
		return nil, err
	}
	s.ints = p.modern
	return s, nil
}

// Filter returns the topic filter of FROM, "" when there is none: such a rule
// is reached by Basic Ingest only.
func (s *Statement) Filter() string { return s.filter }

// Asks tells whether the statement has a function that asks outside, which may
// take seconds (aws_lambda, get_thing_shadow, get_registry_data).
func (s *Statement) Asks() bool { return s.asks }

// Roles returns the roles that functions of the statement take; whoever makes
// the rule must be allowed to pass them.
func (s *Statement) Roles() []strait.ARN { return s.roles }

// String returns the statement in one fixed form; parsed again, it is the same.
func (s *Statement) String() string {
	from := ""
	if s.filter != "" {
		from = " FROM " + quote(s.filter)
	}
	return s.written(from)
}

func (s *selection) written(from string) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	if s.bare {
		b.WriteString("VALUE ")
	}
	for i, it := range s.items {
		if i > 0 {
			b.WriteString(", ")
		}
		switch {
		case it.star:
			b.WriteString("*")
		case s.bare && strings.HasPrefix(it.term.text, "-"):
			b.WriteString("(" + it.term.text + ")") // else "value - 1"
		default:
			b.WriteString(it.term.text)
		}
		if it.path != nil {
			b.WriteString(" AS " + strings.Join(it.path, "."))
		}
	}
	b.WriteString(from)
	if s.where != nil {
		b.WriteString(" WHERE " + s.where.text)
	}
	return b.String()
}

// whole tells whether the selection is *, or VALUE *, and nothing else: then
// the payload is passed on as it is, even if it is no JSON.
func (s *selection) whole() bool {
	return len(s.items) == 1 && s.items[0].star && s.items[0].path == nil
}

// Eval applies the statement to in. ok tells whether WHERE holds; document is
// then what the actions get: JSON, or the bytes of a payload that is none when
// all of it is selected (see Input.JSON), or nothing when SELECT VALUE is
// Undefined. It fails when there is no document: * beside other items and a
// payload that is no object (Invalid "payload"), more than MaxDocument bytes
// (TooLarge "document"), or what Input.Ask says.
func (s *Statement) Eval(in *Input) (document []byte, ok bool, err error) {
	in.begin(s.ints)
	// 1. WHERE: only a true condition starts actions.
	if s.where != nil {
		v := s.where.eval(in)
		if in.err != nil {
			return nil, true, in.err
		}
		if v.kind != boolean || !v.flag {
			return nil, false, nil
		}
	}
	// 2. SELECT.
	if s.whole() {
		document = bytes.Clone(in.document)
		if in.document == nil {
			document = bytes.Clone(in.Payload)
		}
	} else if v := s.project(in); v.kind != undefined {
		document = v.append(nil)
	}
	if in.err == nil && len(document) > MaxDocument {
		in.fail(strait.Errorf(strait.TooLarge, "document", "the rule makes a document of %d bytes of this message; at most %d are allowed", len(document), MaxDocument))
	}
	if in.err != nil {
		return nil, true, in.err
	}
	return document, true, nil
}

// begin makes in ready for one evaluation.
func (in *Input) begin(ints bool) {
	in.parse()
	in.ints, in.budget, in.err, in.here, in.inner = ints, maxWork, nil, in.document, false
}

// JSON tells whether the payload is JSON.
func (in *Input) JSON() bool {
	in.parse()
	return in.document != nil
}

// project builds what SELECT's items describe.
func (s *selection) project(in *Input) value {
	if s.bare {
		return s.only(in)
	}
	var out object
	size := 0
	for _, it := range s.items {
		if !it.star {
			v := it.term.eval(in).output(in)
			size += v.size()
			out.set(it.path, v)
		} else {
			doc, err := in.whole()
			if err != nil {
				in.fail(err)
				return value{}
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
				in.fail(strait.Errorf(strait.Invalid, "payload", "the payload is no JSON object, so * cannot be merged with other items; use * AS name"))
			}
		}
		// Many "* AS x" of one large payload must not fill the memory.
		if size > 4*MaxDocument {
			in.fail(strait.Errorf(strait.TooLarge, "document", "the rule makes a document of more than %d bytes of this message", MaxDocument))
		}
		if in.err != nil {
			return value{}
		}
	}
	return value{kind: objectKind, raw: out.append(nil)}
}

// only is the value of SELECT VALUE.
func (s *selection) only(in *Input) value {
	if !s.items[0].star {
		return s.items[0].term.eval(in).output(in)
	}
	doc, err := in.whole()
	if err != nil {
		in.fail(err)
		return value{}
	}
	return fromJSON(doc)
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
// items can be added [DG Working with binary payloads]. In a nested query it is
// the element.
func (in *Input) whole() ([]byte, error) {
	switch {
	case in.inner:
		return in.here, nil
	case in.document != nil:
		return in.document, nil
	case len(in.Payload) == 0:
		return []byte("{}"), nil
	}
	// AWS attaches such a payload as base64, under a name it does not document.
	return nil, strait.Errorf(strait.Invalid, "payload", "the payload is not JSON, so * cannot be joined with other items; use encode(*, 'base64') AS name")
}

// walk follows path through raw.
func (in *Input) walk(raw []byte, path []string) value {
	for _, name := range path {
		if !in.charge(len(raw)) {
			return value{}
		}
		if raw = member(raw, name); raw == nil {
			return value{}
		}
	}
	if raw == nil {
		return value{}
	}
	return fromJSON(raw)
}
