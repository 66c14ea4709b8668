// Package credential issues temporary credentials and opens them again.
//
// A session token carries its own session, sealed with a master key; nothing
// is stored for it and nothing is looked up, so that any node that has the
// master keys can open it. The parts of one set of credentials are bound to
// each other: the access key id is associated data of the seal, and the secret
// is derived from access key id and token. No mix of two sets ever opens.
//
// The package does not know who may have which session, what a policy means or
// how a request is signed. Begin with Session, then Issuer.
package credential

import (
	"strings"
	"time"

	"strait"
)

// A Session is what temporary credentials stand for. It is frozen when it is
// issued; whatever may change later (the role's policies, a policy behind
// PolicyARNs) is looked up when the session is used.
type Session struct {
	// Kind is the kind of principal; only strait.AssumedRole is issued today.
	Kind strait.PrincipalKind
	// RoleID is the role's unique id, "AROA...": a role that was deleted and made
	// anew under the same name is another one.
	RoleID string
	// RoleARN is the role as IAM has it, with its path.
	RoleARN strait.ARN
	// Name is the session's name.
	Name string

	// Policy is the inline session policy, "" when there is none.
	Policy string
	// PolicyARNs are managed policies that narrow the session like Policy.
	PolicyARNs []strait.ARN
	// Tags are the session's tags, inherited ones too.
	Tags map[string]string
	// Transitive are the keys of Tags that a chained session inherits. Each
	// must be in Tags. Open returns them sorted.
	Transitive []string
	// SourceIdentity is "" when none was set.
	SourceIdentity string
	// Context are condition keys that stay with the session, such as
	// "credentials-iot:ThingName".
	Context map[string]string
	// Trace is the id of the trace that led to these credentials.
	Trace string

	// Issued is when; Issue takes the present when it is zero. Kept to the
	// millisecond, rounded down.
	Issued time.Time
	// Expires is the moment from which the session is over. Kept to the
	// second, rounded down.
	Expires time.Time
	// Chained tells that the caller itself had a role's session.
	Chained bool
}

// Principal returns the caller that a session of a role stands for.
func (s Session) Principal() strait.Principal {
	p := strait.Principal{Kind: s.Kind, RoleARN: s.RoleARN, ID: s.RoleID + ":" + s.Name, Name: s.Name}
	parts, err := s.RoleARN.Parse()
	if err != nil {
		return p
	}
	p.Account = parts.Account
	// The session's ARN has the role's name without its path.
	role := parts.Resource[strings.LastIndexByte(parts.Resource, '/')+1:]
	p.ARN = strait.Place{Account: parts.Account}.STS("assumed-role/" + role + "/" + s.Name)
	return p
}
