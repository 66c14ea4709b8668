package policy

import "strconv"

func (e *SyntaxError) where() string {
	s := " (line " + strconv.Itoa(e.Line)
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s + ")"
}

// A fault is one way in which a text is no policy. What AWS says to it depends
// on the kind of document.
type fault int

const (
	faultJSON fault = iota
	faultSyntax
	faultVersion
	faultNoStatement
	faultSameSid
	faultSid
	faultNoEffect
	faultEffect
	faultNoPrincipal
	faultEmptyPrincipal
	faultPrincipalType
	faultPrincipal
	faultUnwantedPrincipal
	faultNotPrincipal
	faultAllowNotPrincipal
	faultNoAction
	faultAction
	faultVendor
	faultNoResource
	faultResource
	faultPartition
	faultUnwantedResource
	faultUnwantedNotResource
)

// message returns AWS's sentence. about is the text at fault, where the
// sentence has a place for it.
func (k Kind) message(f fault, about string) string {
	switch k {
	case Trust:
		return trustMessage(f, about)
	case IoT: // our words: AWS's text after the colon is not known
		return "The policy document is malformed"
	case Bucket:
		return bucketMessage(f, about)
	case Function:
		return "The function policy is malformed"
	}
	return identityMessage(f, about)
}

// identityMessage: iam-evaluation §1; the one about Sid is from memory.
func identityMessage(f fault, about string) string {
	switch f {
	case faultUnwantedPrincipal:
		return "Policy document should not specify a principal."
	case faultNoAction:
		return "Policy statement must contain actions."
	case faultNoResource:
		return "Policy statement must contain resources."
	case faultSameSid:
		return "Statement IDs (SID) in a single policy must be unique."
	case faultSid:
		return "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
	case faultVendor:
		return "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	case faultAction:
		return "The policy failed legacy parsing"
	case faultResource:
		return "Resource " + about + ` must be in ARN format or "*".`
	case faultPartition:
		return about
	}
	return "Syntax errors in policy."
}

// trustMessage: sts.md §7.
func trustMessage(f fault, about string) string {
	switch f {
	case faultJSON:
		return "This policy contains invalid Json"
	case faultVersion:
		return "The policy must contain a valid version string"
	case faultNoStatement:
		return "Could not parse the policy: Statement is empty!"
	case faultSameSid:
		return "The Statement Ids in the policy are not unique"
	case faultNoEffect:
		return "Missing required field Effect"
	case faultEffect:
		return "Invalid effect: " + about
	case faultNoPrincipal:
		return "Missing required field Principal"
	case faultEmptyPrincipal:
		return "Missing required field Principal cannot be empty!"
	case faultPrincipalType:
		return "Principal must be a JSON object."
	case faultPrincipal:
		return "Invalid principal in policy: " + about
	case faultNotPrincipal:
		return "AssumeRole policy must not contain NotPrincipal field."
	case faultAllowNotPrincipal:
		return "Allow with NotPrincipal is not allowed."
	case faultNoAction:
		return "Missing required field Action"
	case faultAction, faultVendor:
		return "AssumeRole policy may only specify STS AssumeRole actions."
	case faultUnwantedResource:
		return "Has prohibited field Resource"
	case faultUnwantedNotResource:
		return "AssumeRole policy must not contain resources."
	}
	return "Syntax error in policy."
}

// bucketMessage: texts of S3's MalformedPolicy, from memory (unverified).
func bucketMessage(f fault, about string) string {
	switch f {
	case faultJSON:
		return "Policies must be valid JSON and the first byte must be '{'"
	case faultVersion:
		return "The policy must contain a valid version string"
	case faultNoStatement:
		return "Could not parse the policy: Statement is empty!"
	case faultNoEffect:
		return "Missing required field Effect"
	case faultEffect:
		return "Invalid effect: " + about
	case faultNoPrincipal:
		return "Missing required field Principal"
	case faultEmptyPrincipal, faultPrincipalType, faultPrincipal:
		return "Invalid principal in policy"
	case faultAllowNotPrincipal:
		return "Allow with NotPrincipal is not allowed."
	case faultNoAction:
		return "Missing required field Action"
	case faultAction, faultVendor:
		return "Policy has invalid action"
	case faultNoResource:
		return "Missing required field Resource"
	case faultResource:
		return "Policy has invalid resource"
	}
	return "Policy has invalid syntax"
}
