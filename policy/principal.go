package policy

import (
	"strings"

	"strait"
)

// A naming is how a resource or trust policy names a caller; a stronger one is
// greater. What each is worth is in iam-evaluation §6.
type naming int

const (
	notNamed     naming = iota
	namesAccount        // delegates: the caller's own policies must allow, too
	namesRole           // counts as the role's own allow
	namesCaller         // the user, the one session, the service, or everyone
)

func (n naming) String() string {
	return [...]string{"", "account", "role", "directly"}[n]
}

type principalType int

const (
	principalAny     principalType = iota // "*"
	principalARN                          // a user, role or session
	principalAccount                      // 12 digits
	principalID                           // AIDA... or AROA..., which IAM stores in place of an ARN
	principalService
	principalFederated // known, and never matched: Strait has no federation
	principalCanonical // an account by S3's id for it, which Strait has no list of
)

// A principal is one entry of Principal or NotPrincipal.
type principal struct {
	kind  principalType
	value string
}

// readPrincipal reads the value of one entry; kind is "AWS", "Service",
// "Federated" or "CanonicalUser". Wildcards within a value are refused, as they match nothing.
func readPrincipal(kind, text string) (principal, bool) {
	if text == "*" && kind == "AWS" {
		return principal{principalAny, ""}, true
	}
	if text == "" || strings.ContainsAny(text, "*?") {
		return principal{}, false
	}
	switch kind {
	case "Service":
		return principal{principalService, text}, true
	case "Federated":
		return principal{principalFederated, text}, true
	case "CanonicalUser":
		return principal{principalCanonical, text}, true
	case "AWS":
		return readAWSPrincipal(text)
	}
	return principal{}, false
}

func readAWSPrincipal(text string) (principal, bool) {
	if isAccount(text) {
		return principal{principalAccount, text}, true
	}
	if isUniqueID(text) {
		return principal{principalID, text}, true
	}
	p, err := strait.ARN(text).Parse()
	if err != nil || !isAccount(p.Account) || p.Region != "" {
		return principal{}, false
	}
	kind, name, _ := strings.Cut(p.Resource, "/")
	switch {
	case p.Service == "iam" && p.Resource == "root":
		return principal{principalAccount, p.Account}, true
	case p.Service == "iam" && (kind == "user" || kind == "role") && name != "":
		return principal{principalARN, text}, true
	case p.Service == "sts" && (kind == "assumed-role" && strings.Contains(name, "/") || kind == "federated-user" && name != ""):
		return principal{principalARN, text}, true
	}
	return principal{}, false
}

func isAccount(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789") == ""
}

func isUniqueID(text string) bool {
	if len(text) < 16 || len(text) > 128 || !strings.HasPrefix(text, "AIDA") && !strings.HasPrefix(text, "AROA") {
		return false
	}
	return strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// names tells how p names the caller, for a statement that denies or allows.
// "*" in an Allow leaves out services and certificates (AWS's exact rule for
// services is unverified), in a Deny it leaves out nobody. A canonical user may
// be anyone's account: in an Allow it names nobody, in a Deny all who sign.
func (p *principal) names(who *strait.Principal, deny bool) naming {
	switch who.Kind {
	case strait.Root, strait.User, strait.AssumedRole:
		if p.kind == principalCanonical && deny {
			return namesCaller
		}
		return p.namesMember(who)
	case strait.Service:
		if p.kind == principalService && p.value == string(who.ARN) {
			return namesCaller
		}
	case strait.Anonymous:
		if p.kind == principalAny {
			return namesCaller
		}
	}
	if p.kind == principalAny && deny {
		return namesCaller
	}
	return notNamed
}

// namesMember is names for a principal of an account.
func (p *principal) namesMember(who *strait.Principal) naming {
	switch p.kind {
	case principalAny:
		return namesCaller
	case principalAccount:
		if p.value != who.Account {
			return notNamed
		}
		if who.Kind == strait.Root {
			return namesCaller
		}
		return namesAccount
	case principalARN:
		switch {
		case p.value == string(who.ARN):
			return namesCaller
		case who.Kind == strait.AssumedRole && p.value == string(who.RoleARN):
			return namesRole
		}
	case principalID:
		id, _, session := strings.Cut(who.ID, ":")
		switch {
		case id != p.value || who.Kind == strait.Root:
		case who.Kind == strait.AssumedRole && session:
			return namesRole
		case who.Kind == strait.User:
			return namesCaller
		}
	}
	return notNamed
}

// named tells how the statement's Principal names the caller; a statement
// without one (in a policy of the caller's own) names him.
func (st *statement) named(who *strait.Principal) naming {
	if !st.hasPrincipal {
		return namesCaller
	}
	best := notNamed
	seen := [namesCaller + 1]bool{}
	for i := range st.principals {
		p := &st.principals[i]
		if p.kind == principalCanonical && st.notPrincipal {
			continue // it cannot be told whom that would leave out
		}
		n := p.names(who, st.deny)
		seen[n] = true
		best = max(best, n)
		if p.kind == principalAny && n != notNamed {
			seen[namesAccount], seen[namesRole] = true, true
		}
	}
	if !st.notPrincipal {
		return best
	}
	// NotPrincipal only denies. To be left out, a caller must be listed with
	// all that he is: account, role and session (iam-evaluation §2.1).
	exempt := seen[namesCaller]
	switch who.Kind {
	case strait.AssumedRole:
		exempt = exempt && seen[namesRole] && seen[namesAccount]
	case strait.User:
		exempt = exempt && seen[namesAccount]
	}
	if exempt {
		return notNamed
	}
	return namesCaller
}

// show returns the entry as a policy has it.
func (p principal) show() string {
	switch p.kind {
	case principalAny:
		return "*"
	case principalAccount:
		return "account " + p.value
	}
	return p.value
}
