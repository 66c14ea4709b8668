package authz

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"strait/identity"
	"strait/policy"
)

// Told is a decision as it is told and kept: the record, and why, in prose. Of
// a refusal, Document is the one to change.
type Told struct {
	Record
	Summary     string         `json:"summary,omitempty"` // what broke, the layer, the document; what came nearest
	Explanation string         `json:"explanation,omitempty"`
	Reasons     []ReasonTold   `json:"reasons,omitempty"`
	Suggestions []SuggestTold  `json:"suggestions,omitempty"`
	Documents   []DocumentTold `json:"documents,omitempty"` // every one that was weighed
}

// A ReasonTold is one statement's part in a decision.
type ReasonTold struct {
	Layer     string `json:"layer"`
	Document  string `json:"document"`
	Sid       string `json:"sid,omitempty"`
	Statement int    `json:"statement"`
	Line      int    `json:"line,omitempty"`
	Effect    string `json:"effect"`
	Matched   bool   `json:"matched"`
	Missed    string `json:"missed,omitempty"` // principal, action, resource or condition
	Want      string `json:"want,omitempty"`
	Found     string `json:"found,omitempty"`
}

// A SuggestTold is the smallest change that would allow the request.
type SuggestTold struct {
	Layer     string `json:"layer"`
	Document  string `json:"document"`
	Statement string `json:"statement"`
	Also      string `json:"also,omitempty"`
}

// A DocumentTold says which text of which policy took part in a decision.
type DocumentTold struct {
	Layer   string `json:"layer"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"` // of managed and IoT policies
	Hash    string `json:"sha256"`            // the first 16 hex digits of the text's
}

// Tell explains r. Without documents it leaves out what shows them: about
// itself everyone may read what was decided, but not others' policies. d names
// the versions of policies.
func Tell(r *Record, d *identity.Directory, documents bool) *Told {
	if r.told != nil {
		return r.told.shown(r, documents)
	}
	t := &Told{Record: *r}
	if r.Event != "" {
		t.Summary = where(r.Event, r.Layer, r.Document)
	}
	if r.Event != "" || !documents {
		return t
	}
	x := policy.Explain(r.Set, r.Request, r.Decision)
	t.Document = blamed(r, x)
	t.Summary = where(strings.TrimSuffix(x.Summary, "."), r.Layer, t.Document)
	if !r.Decision.Allowed() && len(x.Lines) > 0 {
		t.Summary += " " + x.Lines[0] // what came nearest, and where it missed
	}
	t.Explanation = x.Text()
	for _, reason := range r.Decision.Reasons {
		o := ReasonTold{Layer: string(reason.Layer), Document: reason.Document, Sid: reason.Sid, Statement: reason.Statement,
			Line: reason.Line, Effect: reason.Effect.String(), Matched: reason.Matched}
		if m := reason.Miss; m != nil {
			o.Missed, o.Want, o.Found = m.Part, m.Want, m.Found
		}
		t.Reasons = append(t.Reasons, o)
	}
	for _, s := range x.Suggestions {
		t.Suggestions = append(t.Suggestions, SuggestTold{string(s.Layer), s.Document, s.Statement, s.Also})
	}
	t.Documents = weighed(r.Set, d)
	return t
}

// shown is t, which was kept, for a reader of r.
func (t *Told) shown(r *Record, documents bool) *Told {
	out := *t
	out.Record = *r
	if !documents && r.Event == "" {
		out = Told{Record: *r}
		out.Document = ""
	}
	return &out
}

func weighed(s policy.Set, d *identity.Directory) (out []DocumentTold) {
	for _, docs := range [][]*policy.Document{s.Trust, s.Identity, s.Resource, s.Boundary, s.Session, s.IoT} {
		for _, doc := range docs {
			sum := sha256.Sum256([]byte(doc.Text()))
			out = append(out, DocumentTold{string(doc.Kind.Layer()), doc.Name, d.RevisionOf(doc), hex.EncodeToString(sum[:8])})
		}
	}
	return out
}

// where adds to a sentence who says so.
func where(sentence, layer, document string) string {
	switch {
	case layer == "":
		return sentence + "."
	case document == "":
		return sentence + " (" + layer + ")."
	}
	return sentence + " (" + layer + ": " + document + ")."
}

// blamed is the document that the layer which decided goes by: the one that
// denies, or allows; where none does, the one to add a statement to.
func blamed(r *Record, x policy.Explanation) string {
	for _, reason := range r.Decision.Reasons {
		if reason.Matched && reason.Layer == r.Decision.Layer && reason.Effect == r.Decision.Effect {
			return reason.Document
		}
	}
	for _, s := range x.Suggestions {
		if s.Layer == r.Decision.Layer {
			return s.Document
		}
	}
	return ""
}
