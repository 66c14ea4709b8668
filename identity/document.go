package identity

import (
	"encoding/json"
	"sync"

	"strait/policy"
)

// A Document is a policy text as it was given, and the parsed form of it.
// It is never changed once made.
type Document struct {
	Text string

	kind   policy.Kind
	name   string
	once   sync.Once
	parsed *policy.Document
	err    error
}

// Parsed returns the parsed form; every call returns the same one.
func (d *Document) Parsed() (*policy.Document, error) {
	d.once.Do(func() {
		d.parsed, d.err = policy.Parse(d.kind, d.name, d.Text)
		if d.err != nil {
			d.err = asInvalid("policy document", d.err)
		}
	})
	return d.parsed, d.err
}

// Name is what reasons show of the document.
func (d *Document) Name() string { return d.name }

type documentJSON struct {
	Kind policy.Kind `json:"kind"`
	Name string      `json:"name"`
	Text string      `json:"text"`
}

// MarshalJSON keeps the text to the letter, with what is needed to parse it.
func (d *Document) MarshalJSON() ([]byte, error) {
	return json.Marshal(documentJSON{d.kind, d.name, d.Text})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Document) UnmarshalJSON(b []byte) error {
	var j documentJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	d.kind, d.name, d.Text = j.Kind, j.Name, j.Text
	return nil
}

// all parses documents that were parsed before they were stored. One that no
// longer parses (it was stored by another version) is returned as an error:
// leaving it out could drop a Deny.
func all(docs ...*Document) ([]*policy.Document, error) {
	var out []*policy.Document
	for _, d := range docs {
		if d == nil {
			continue
		}
		p, err := d.Parsed()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
