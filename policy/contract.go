package policy

import (
	"strait"
	"time"
)

// Document is one policy, parsed and compiled; it never changes.
type Document struct {
	Name    string // what a reason shows
	Kind    Kind
	Version string // "2012-10-17" or "2008-10-17"
	text    string
}

// Text returns the text exactly as it was given to Parse.
func (d *Document) Text() string { return d.text }

// SyntaxError says why a text is no policy.
type SyntaxError struct {
	Message string // AWS's sentence, for the caller
	Hint    string // ours: what exactly is wrong; may be ""
	Line    int
}

func (e *SyntaxError) Error() string { return e.Message }

// Parse reads a document. name is what a reason shows, such as an ARN or "inline policy put-objects". The error is a *SyntaxError.
func Parse(kind Kind, name, text string) (*Document, error) {
	return nil, &SyntaxError{Message: "not yet"}
}

// CheckSize refuses a text over the limit of its kind, with a *strait.Error (Limit).
func CheckSize(kind Kind, text string) error { return nil }

// Context holds condition keys (lower-case) and their values.
type Context map[string][]string

// Set replaces the values of key, in any case.
func (c Context) Set(key string, values ...string) {}

// Get returns the values of key, in any case.
func (c Context) Get(key string) []string { return nil }

// SetPrincipal sets the keys that follow from p: aws:PrincipalArn, aws:PrincipalAccount, aws:PrincipalType, aws:userid, aws:username.
func (c Context) SetPrincipal(p strait.Principal) {}

// Supplied tells whether Strait ever supplies the condition key.
func Supplied(key string) bool { return false }

// Decide weighs every statement and answers.
func (s Set) Decide(r Request) Decision { return Decision{} }

// Because returns AWS's wording for the end of an access denied message, "" when allowed.
func (d Decision) Because(r Request) string { return "" }

// Explanation is a decision in prose.
type Explanation struct {
	Summary, Intended string
	Lines             []string
	Suggestions       []Suggestion
}

// Text returns it all, in lines.
func (e Explanation) Text() string { return "" }

// Suggestion is the smallest change to one document.
type Suggestion struct {
	Layer     Layer
	Document  string
	Statement string // JSON, ready to paste
	Also      string // what else it would allow
}

// Explain says why.
func Explain(s Set, r Request, d Decision) Explanation { return Explanation{} }

// Guard is a Set specialised for one connection; safe for concurrent use.
type Guard struct{}

// Guard fills in everything of base that cannot change: principal and context. Its Action and Resource are not used.
func (s Set) Guard(base Request) *Guard { return &Guard{} }

// Check: extra adds to or replaces keys of the base context. No allocation for a nil extra.
func (g *Guard) Check(action strait.Action, resource strait.ARN, now time.Time, extra Context) bool {
	return false
}

// Decide is Check with reasons.
func (g *Guard) Decide(action strait.Action, resource strait.ARN, now time.Time, extra Context) Decision {
	return Decision{}
}

// Until returns when a verdict of Check with a nil extra, taken at now, may change by itself; zero means never.
func (g *Guard) Until(now time.Time) time.Time { return now }
