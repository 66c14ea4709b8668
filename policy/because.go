package policy

// Because returns the end of AWS's sentence "User: U is not authorized to
// perform: A on resource: R", without a blank before it: the reason in the
// words of iam-evaluation §9. It is "" when the request is allowed. AWS has no
// words for IoT policies; those are ours.
func (d Decision) Because(r Request) string {
	if d.Effect == Allow {
		return ""
	}
	if d.Effect == ExplicitDeny {
		switch d.Layer {
		case LayerResource:
			return "with an explicit deny in a resource-based policy"
		case LayerBoundary:
			return "with an explicit deny in a permissions boundary"
		case LayerSession:
			return "with an explicit deny in a sessions policy" // sic
		case LayerTrust:
			return "with an explicit deny in the role trust policy"
		case LayerIoT:
			return "with an explicit deny in an IoT policy"
		}
		return "with an explicit deny in an identity-based policy"
	}
	who := "identity-based policy"
	switch d.Layer {
	case LayerResource:
		who = "resource-based policy"
	case LayerBoundary:
		who = "permissions boundary"
	case LayerSession:
		who = "session policy"
	case LayerTrust:
		who = "role trust policy"
	case LayerIoT:
		who = "IoT policy"
	}
	return "because no " + who + " allows the " + string(r.Action) + " action"
}
