// Package policy holds the policy language, the decision and its reasons. A
// Document is one parsed policy; a Set is every document that applies to one
// request; Set.Decide weighs them all and answers with a Decision that says
// who refused and which statement came how near. Explain turns that into prose
// and into the smallest change that would allow the request. A Guard is a Set
// specialised for one connection, for checks of tens of nanoseconds.
//
// The package is pure: it knows no protocol, no storage and no clock. Who the
// caller is, which documents apply and what the condition keys are worth is
// told by its callers. It never grants by default: what it does not
// understand is refused when a document is read, and a condition key that
// Strait never supplies makes an Allow miss and a Deny hit (see Supplied).
//
// Begin with Parse, then Set.Decide in decide.go; the order of evaluation is
// in verdict.go.
package policy

import "strait"

// A Kind says which grammar and which limits hold for a document.
type Kind int

// Kinds of documents.
const (
	Identity Kind = iota // of a user, group or role, inline or managed
	Session              // given to AssumeRole, narrows one session
	Boundary             // a permissions boundary
	Trust                // who may assume a role
	Bucket               // resource policy of a bucket
	Function             // resource policy of a function
	IoT                  // attached to a certificate or thing group
)

// String returns the kind in words for people.
func (k Kind) String() string { return string(k.Layer()) }

// Layer returns the layer in which documents of this kind are evaluated.
func (k Kind) Layer() Layer {
	switch k {
	case Identity:
		return LayerIdentity
	case Session:
		return LayerSession
	case Boundary:
		return LayerBoundary
	case Trust:
		return LayerTrust
	case Bucket, Function:
		return LayerResource
	case IoT:
		return LayerIoT
	}
	return "unknown policy"
}

// A Layer is one of the places that can refuse a request, in words for people.
type Layer string

// Layers, and two that are no documents: the root user needs none.
const (
	LayerIdentity Layer = "identity policy"
	LayerResource Layer = "resource policy"
	LayerBoundary Layer = "permissions boundary"
	LayerSession  Layer = "session policy"
	LayerTrust    Layer = "trust policy"
	LayerIoT      Layer = "iot policy"
	LayerRoot     Layer = "root user"
)

// An Effect is the outcome of a decision, or what a statement would do.
type Effect int

// Effects. The zero Effect refuses.
const (
	ImplicitDeny Effect = iota // nothing allows it
	Allow
	ExplicitDeny // a statement with "Effect": "Deny" matched
)

// String returns "implicit deny", "allow" or "explicit deny".
func (e Effect) String() string {
	switch e {
	case Allow:
		return "allow"
	case ExplicitDeny:
		return "explicit deny"
	}
	return "implicit deny"
}

// A Request is one question: may Principal do Action to Resource?
type Request struct {
	Principal strait.Principal
	Action    strait.Action
	// Resource is an ARN, or "*" for actions that know no resource.
	Resource strait.ARN
	// Context holds the condition keys of this request. The principal's own
	// keys are not derived from Principal: see Context.SetPrincipal.
	Context Context
}

// A Set is every document that applies to a request. A layer that exists must
// be said to exist, even when it holds no document: a role session with a
// boundary that was deleted has HasBoundary and no Boundary, and may nothing.
// (A non-empty layer counts as existing whatever the flag says.)
type Set struct {
	Identity []*Document
	Boundary []*Document
	Session  []*Document
	Resource []*Document
	Trust    []*Document // of the role that is to be assumed
	IoT      []*Document

	HasBoundary bool
	HasSession  bool
	// HasTrust chooses the rules of AssumeRole, TagSession and
	// SetSourceIdentity; those actions choose them by themselves, too.
	HasTrust bool

	// NarrowDirect lets boundary and session policy also limit what a resource
	// policy grants to a session by its own ARN or to "*". AWS's documents say
	// they do not; not verified against AWS (iam-evaluation §6).
	NarrowDirect bool

	// Via says of documents, by name, through what they reach the caller, such
	// as "thing group fleet". Aside says which documents do not count here,
	// and why. Both are for the reasons only.
	Via   map[string]string
	Aside string
}

// A Decision is the answer to a Request, with its reasons.
type Decision struct {
	Effect Effect
	// Layer is the one that decided: the first that refuses in the order of
	// evaluation, or the one that allowed.
	Layer Layer
	// Refused are all layers that refuse, explicit denies first; empty when
	// the request is allowed.
	Refused []Layer
	// Reasons has one entry for each statement of each document weighed; of a
	// layer with very many, for those that matched and those that came nearest.
	Reasons []Reason
	// Untold counts, for such a layer, the other Allows that were about the
	// request and missed.
	Untold map[Layer]int
	// Note is set when no document was at fault, such as "an anonymous caller
	// has no identity policies".
	Note string
}

// Allowed tells whether the request may go on.
func (d Decision) Allowed() bool { return d.Effect == Allow }

// A Reason says what one statement had to say to a request.
type Reason struct {
	Layer     Layer
	Document  string // its name
	Via       string // through what it reaches the caller, as Set.Via has it
	Sid       string // may be ""
	Statement int    // counted from 1
	Line      int    // where the statement begins in the text, from 1
	Effect    Effect // Allow or ExplicitDeny: what it does when it matches
	Matched   bool
	// Named is how a resource or trust policy named the caller when it
	// matched: "directly", "role", "account" or "".
	Named string
	Miss  *Miss // nil when Matched
}

// A Miss says where a statement did not match: the first of principal, action,
// resource and condition that failed.
type Miss struct {
	Part string // "principal", "action", "resource" or "condition"
	// Want is what the statement asks, variables filled in; Found is what the
	// request has, "" when Part is "action": the request says that itself, and
	// so the Miss can be one that all requests share. It must not be changed.
	Want, Found string
	// Key and Operator are set for a condition, as written.
	Key, Operator string
	// Segment is the part of the ARN at which the nearest resource failed, 1
	// to 6 ("arn" is 1, the resource 6), 0 when it is no resource or no ARN.
	Segment int
	Note    string // e.g. values of variables, or why a value is missing
}
