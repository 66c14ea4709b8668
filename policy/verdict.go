package policy

import (
	"strings"

	"strait"
)

// A mode is a way of evaluating; it follows from the caller and the action.
type mode int

const (
	modeNobody       mode = iota // a caller of an unknown kind: nothing applies
	modeMember                   // a user or a session: the order of iam-evaluation §6
	modeRoot                     // everything, but for explicit denies of resource policies
	modeOutside                  // a service or an anonymous caller: resource policies only
	modeDevice                   // a certificate: IoT policies only
	modeTrust                    // taking on a role: iam-evaluation §6.1
	modeTrustService             // a service taking on a role: its trust policy only
	modeTrustNever               // root, anonymous or a certificate taking on a role
)

// modeOf chooses. Actions of trust policies follow its rules even where the
// caller forgot to say so: there must be a trust policy, or nobody gets in.
func (s Set) modeOf(who strait.PrincipalKind, action strait.Action) mode {
	if s.HasTrust || len(s.Trust) > 0 || takesRole(action) {
		if who == strait.User || who == strait.AssumedRole {
			return modeTrust
		}
		if who == strait.Service {
			return modeTrustService
		}
		return modeTrustNever
	}
	switch who {
	case strait.User, strait.AssumedRole:
		return modeMember
	case strait.Root:
		return modeRoot
	case strait.Service, strait.Anonymous:
		return modeOutside
	case strait.Certificate:
		return modeDevice
	}
	return modeNobody
}

func takesRole(action strait.Action) bool {
	for _, a := range [...]string{
		"sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML",
		"sts:TagSession", "sts:SetSourceIdentity",
	} {
		if strings.EqualFold(a, string(action)) {
			return true
		}
	}
	return false
}

// A bits holds what the statements that matched add up to.
type bits uint32

const (
	denyIdentity bits = 1 << iota
	denyTrust
	denyResource
	denyBoundary
	denySession
	denyIoT
	allowIdentity
	allowBoundary
	allowSession
	allowIoT
	resourceCaller // a resource policy names the caller himself, or everyone
	resourceRole
	resourceAccount
	trustCaller
	trustRole
	trustAccount

	anyDeny = denyIdentity | denyTrust | denyResource | denyBoundary | denySession | denyIoT
)

// bitOf is what one statement that matched adds.
func bitOf(layer Layer, deny bool, n naming) bits {
	switch layer {
	case LayerIdentity:
		return pick(deny, denyIdentity, allowIdentity)
	case LayerBoundary:
		return pick(deny, denyBoundary, allowBoundary)
	case LayerSession:
		return pick(deny, denySession, allowSession)
	case LayerIoT:
		return pick(deny, denyIoT, allowIoT)
	case LayerTrust:
		return pick(deny, denyTrust, [...]bits{0, trustAccount, trustRole, trustCaller}[n])
	case LayerResource:
		return pick(deny, denyResource, [...]bits{0, resourceAccount, resourceRole, resourceCaller}[n])
	}
	return 0
}

func pick(deny bool, denies, allows bits) bits {
	if deny {
		return denies
	}
	return allows
}

// A court turns bits into a verdict. It is all of a Set that does not depend
// on the request, so that a Guard and Decide cannot differ.
type court struct {
	mode                    mode
	hasBoundary, hasSession bool
	narrow                  bool // what is granted to the caller directly is limited, too
}

func (s Set) court(who strait.PrincipalKind, action strait.Action) court {
	return court{
		mode:        s.modeOf(who, action),
		hasBoundary: s.HasBoundary || len(s.Boundary) > 0,
		hasSession:  s.HasSession || len(s.Session) > 0,
		narrow:      s.NarrowDirect && who == strait.AssumedRole,
	}
}

// allows is the whole rule (iam-evaluation §6):
//
//	¬deny ∧ ( RP(caller) ∨ [ (ID ∨ RP(role)) ∧ PB ∧ SP ] )
//
// For a trust policy the same with it in RP's place, except that it must name
// the caller somehow: his own policies alone never suffice.
func (c court) allows(b bits) bool {
	if b&anyDeny != 0 {
		return false
	}
	switch c.mode {
	case modeMember, modeTrust:
		return c.missing(b) == 0
	case modeRoot:
		return true
	case modeOutside:
		return b&resourceCaller != 0
	case modeDevice:
		return b&allowIoT != 0
	case modeTrustService:
		return b&trustCaller != 0
	}
	return false
}

// missing returns the allows that a member lacks: allowIdentity, allowBoundary,
// allowSession, and trustCaller for a trust policy that does not name him.
func (c court) missing(b bits) bits {
	direct, role := b&resourceCaller != 0, b&resourceRole != 0
	var lack bits
	if c.mode == modeTrust {
		direct, role = b&trustCaller != 0, b&trustRole != 0
		if b&(trustCaller|trustRole|trustAccount) == 0 {
			// Naming the role in the trust policy would do without the
			// identity policy: so only the trust policy is to blame.
			lack, role = trustCaller, true
		}
	}
	if direct && !c.narrow {
		return 0
	}
	if !direct && !role && b&allowIdentity == 0 {
		lack |= allowIdentity
	}
	if c.hasBoundary && b&allowBoundary == 0 {
		lack |= allowBoundary
	}
	if c.hasSession && b&allowSession == 0 {
		lack |= allowSession
	}
	return lack
}

// refusals returns every layer that refuses, explicit denies first, and how
// many of them do so explicitly. AWS documents no order among these; this is
// the one of evaluation (unverified).
func (c court) refusals(b bits) (layers []Layer, explicit int) {
	for _, d := range [...]struct {
		bit   bits
		layer Layer
	}{
		{denyIdentity, LayerIdentity}, {denyTrust, LayerTrust}, {denyResource, LayerResource},
		{denyBoundary, LayerBoundary}, {denySession, LayerSession}, {denyIoT, LayerIoT},
	} {
		if b&d.bit != 0 {
			layers = append(layers, d.layer)
		}
	}
	explicit = len(layers)
	for _, layer := range c.silent(b) {
		known := false
		for _, l := range layers[:explicit] {
			known = known || l == layer
		}
		if !known {
			layers = append(layers, layer)
		}
	}
	return layers, explicit
}

// silent returns the layers that should allow and do not, in order.
func (c court) silent(b bits) (layers []Layer) {
	switch c.mode {
	case modeNobody:
		return []Layer{LayerIdentity}
	case modeOutside:
		if b&resourceCaller == 0 {
			layers = append(layers, LayerResource)
		}
	case modeDevice:
		if b&allowIoT == 0 {
			layers = append(layers, LayerIoT)
		}
	case modeTrustService:
		if b&trustCaller == 0 {
			layers = append(layers, LayerTrust)
		}
	case modeTrustNever:
		return []Layer{LayerTrust}
	case modeMember, modeTrust:
		lack := c.missing(b)
		for _, l := range [...]struct {
			bit   bits
			layer Layer
		}{
			{trustCaller, LayerTrust}, {allowIdentity, LayerIdentity},
			{allowBoundary, LayerBoundary}, {allowSession, LayerSession},
		} {
			if lack&l.bit != 0 {
				layers = append(layers, l.layer)
			}
		}
	}
	return layers
}

// granter returns the layer that a request is allowed by.
func (c court) granter(b bits) Layer {
	switch c.mode {
	case modeRoot:
		return LayerRoot
	case modeDevice:
		return LayerIoT
	case modeTrust, modeTrustService:
		return LayerTrust
	case modeOutside:
		return LayerResource
	}
	if b&resourceCaller != 0 || b&allowIdentity == 0 {
		return LayerResource
	}
	return LayerIdentity
}

// A shelf is the documents of one layer.
type shelf struct {
	layer Layer
	docs  []*Document
}

func (f *shelf) statements() (n int) {
	for _, doc := range f.docs {
		n += len(doc.statements)
	}
	return n
}

// allLayers are the layers of documents in the order of evaluation.
var allLayers = [...]Layer{LayerTrust, LayerIdentity, LayerResource, LayerBoundary, LayerSession, LayerIoT}

// counts tells whether documents of the layer count in this mode.
func (m mode) counts(layer Layer) bool {
	switch layer {
	case LayerIdentity, LayerBoundary, LayerSession:
		return m == modeMember || m == modeTrust
	case LayerResource:
		return m == modeMember || m == modeRoot || m == modeOutside
	case LayerTrust:
		return m == modeTrust || m == modeTrustService || m == modeTrustNever
	case LayerIoT:
		return m == modeDevice
	}
	return false
}

// shelf returns the documents of one layer that count in this mode.
func (s *Set) shelf(m mode, layer Layer) []*Document {
	if !m.counts(layer) {
		return nil
	}
	return s.documents(layer)
}

// shelves returns the documents that count in this mode.
func (s *Set) shelves(m mode) []shelf {
	out := make([]shelf, 0, len(allLayers))
	for _, layer := range allLayers {
		if docs := s.shelf(m, layer); len(docs) > 0 {
			out = append(out, shelf{layer, docs})
		}
	}
	return out
}
