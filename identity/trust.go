package identity

import (
	"encoding/json"
	"strings"

	"strait"
	"strait/policy"
)

// A Trust is a role's trust policy. IAM keeps the principals it names as
// unique ids, so that whoever is deleted and made again under the same name
// is not trusted any more (sts.md, section 2.3); so do we: Given is the text
// as it came, Kept the one with ids in the place of ARNs, which is decided by.
type Trust struct {
	Given string
	Kept  *Document
	IDs   map[strait.ARN]string // who was meant by each ARN
}

// newTrust judges text as the trust policy of role and binds its principals.
// The caller holds the change lock.
func (d *Directory) newTrust(text string, role *Role) (*Trust, error) {
	name := "trust policy of role " + role.Name
	if _, err := NewDocument(policy.Trust, name, text); err != nil {
		return nil, err
	}
	t := &Trust{Given: text, IDs: map[strait.ARN]string{}}
	kept, err := rewritePrincipals(text, func(arn string) (string, error) {
		id, err := d.principalID(strait.ARN(arn))
		if err != nil || id == "" {
			return arn, err
		}
		t.IDs[strait.ARN(arn)] = id
		return id, nil
	})
	if err != nil {
		return nil, err
	}
	t.Kept, err = NewDocument(policy.Trust, name, kept)
	return t, err
}

// principalID returns the unique id of the user or role that arn names, ""
// for principals that have none (accounts, sessions, "*"). A unique id itself
// is taken while its owner exists: an id that is dead can only be a mistake.
func (d *Directory) principalID(arn strait.ARN) (string, error) {
	bad := strait.Errorf(strait.Invalid, "policy document", `Invalid principal in policy: "AWS":"%s"`, arn)
	if id := string(arn); strings.HasPrefix(id, "AIDA") || strings.HasPrefix(id, "AROA") {
		if !d.alive(id) {
			return "", bad
		}
		return id, nil
	}
	p, err := arn.Parse()
	if err != nil || p.Service != "iam" {
		return "", nil
	}
	if p.Account != d.place.Account {
		return "", bad
	}
	kind, rest, _ := strings.Cut(p.Resource, "/")
	last := strings.ToLower(rest[strings.LastIndex(rest, "/")+1:])
	switch kind {
	case "root":
		return "", nil
	case "role":
		if r := d.roles.get(last); r != nil && r.ARN(d.place) == arn {
			return r.ID, nil
		}
	case "user":
		if u := d.users.get(last); u != nil && u.ARN(d.place) == arn {
			return u.ID, nil
		}
	}
	return "", bad
}

// alive tells whether a user or role has the unique id.
func (d *Directory) alive(id string) bool {
	for _, r := range d.roles.rows {
		if r.value.ID == id {
			return true
		}
	}
	for _, u := range d.users.rows {
		if u.value.ID == id {
			return true
		}
	}
	return false
}

// TrustText returns the trust policy as GetRole shows it: as it was given while
// everyone it names still exists, otherwise with the new ARNs of those who have
// other names now, and the ids of those who do not exist.
func (d *Directory) TrustText(t *Trust) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	dead := false
	for arn, id := range t.IDs {
		if now, err := d.principalID(arn); err != nil || now != id {
			dead = true
		}
	}
	if !dead {
		return t.Given
	}
	text, err := rewritePrincipals(t.Given, func(arn string) (string, error) {
		id, bound := t.IDs[strait.ARN(arn)]
		if now, err := d.principalID(strait.ARN(arn)); bound && (err != nil || now != id) {
			return d.nameOf(id), nil
		}
		return arn, nil
	})
	if err != nil {
		return t.Kept.Text
	}
	return text
}

// nameOf returns the ARN of the user with that id, or the id of who is gone.
// Roles keep their names.
func (d *Directory) nameOf(id string) string {
	for _, u := range d.users.rows {
		if u.value.ID == id {
			return string(u.value.ARN(d.place))
		}
	}
	return id
}

// rewritePrincipals replaces every value of Principal.AWS (and NotPrincipal.AWS) in text. The order
// of members may change, which has no meaning in a policy.
func rewritePrincipals(text string, replace func(string) (string, error)) (string, error) {
	var doc map[string]any
	in := json.NewDecoder(strings.NewReader(text))
	in.UseNumber() // a condition's value is compared as its text
	if err := in.Decode(&doc); err != nil {
		return "", strait.Errorf(strait.Invalid, "policy document", "This policy contains invalid Json")
	}
	statements, ok := doc["Statement"].([]any)
	if !ok {
		statements = []any{doc["Statement"]}
	}
	changed := false
	for _, s := range statements {
		m, _ := s.(map[string]any)
		for _, field := range []string{"Principal", "NotPrincipal"} {
			p, _ := m[field].(map[string]any)
			if p == nil || p["AWS"] == nil {
				continue
			}
			v, err := replaceIn(p["AWS"], replace, &changed)
			if err != nil {
				return "", err
			}
			p["AWS"] = v
		}
	}
	if !changed {
		return text, nil
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it must not grow: the quota counts characters
	err := enc.Encode(doc)
	return b.String(), err
}

func replaceIn(v any, replace func(string) (string, error), changed *bool) (any, error) {
	switch v := v.(type) {
	case string:
		n, err := replace(v)
		*changed = *changed || n != v
		return n, err
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			n, err := replaceIn(e, replace, changed)
			if err != nil {
				return nil, err
			}
			out[i] = n
		}
		return out, nil
	}
	return v, nil
}
