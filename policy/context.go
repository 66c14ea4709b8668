package policy

import (
	"strings"

	"strait"
)

// A Context holds the condition keys of a request. Its keys are lower-case;
// use Set and Get, which see to that. A key that is missing is absent; a key
// without values counts as absent, too.
//
// Values of multi-valued keys (aws:TagKeys, iot:ConnectAttributes) are given
// all; every other key has one value. Numbered certificate fields are keys of
// their own (iot:certificate.subject.commonname.1); ".0" and no number are the
// same.
type Context map[string][]string

// Set replaces the values of key, in any case. It panics on a nil map, as any
// map does.
func (c Context) Set(key string, values ...string) { c[strings.ToLower(key)] = values }

// Get returns the values of key, in any case, nil when it is absent.
func (c Context) Get(key string) []string { return c.get(strings.ToLower(key)) }

// SetPrincipal sets the keys that follow from who p is (iam-evaluation §5):
// aws:PrincipalType, aws:PrincipalArn (a session's role, with its path),
// aws:PrincipalAccount, aws:userid and, for users only, aws:username. An
// anonymous caller, a service and a certificate get what they have of these.
func (c Context) SetPrincipal(p strait.Principal) {
	set := func(key, value string) {
		if value != "" {
			c[key] = []string{value}
		}
	}
	switch p.Kind {
	case strait.Anonymous:
		set("aws:principaltype", string(p.Kind))
		return
	case strait.Service, strait.Certificate:
		return
	}
	set("aws:principaltype", string(p.Kind))
	set("aws:principalaccount", p.Account)
	set("aws:userid", p.ID)
	set("aws:principalarn", string(p.ARN))
	if p.Kind == strait.AssumedRole {
		set("aws:principalarn", string(p.RoleARN))
	}
	if p.Kind == strait.User {
		set("aws:username", p.Name)
	}
}

// get is Get for a key that is lower-case already.
func (c Context) get(key string) []string {
	if v, ok := c[key]; ok {
		return v
	}
	if !strings.HasPrefix(key, certificateKeys) {
		return nil
	}
	if base, ok := strings.CutSuffix(key, ".0"); ok {
		return c[base]
	}
	return c[key+".0"]
}

// has tells whether key (lower-case) has a value.
func (c Context) has(key string) bool { return len(c.get(key)) > 0 }
