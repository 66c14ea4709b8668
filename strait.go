// Package strait holds the words that every room of the house uses: who asks
// (Principal), what they want (Action) of what (ARN), what they are handed
// (Credentials) and how it failed (Error). It knows no protocol, no storage
// and no policy; it imports nothing of the house.
package strait

import "time"

// An Action is what someone wants to do, such as "s3:PutObject". The vendor
// and the name are compared without regard to case.
type Action string

// A PrincipalKind says what sort of caller a Principal is, in the words of the
// condition key aws:PrincipalType where that has one.
type PrincipalKind string

// Kinds of principals.
const (
	Anonymous   PrincipalKind = "Anonymous"   // nobody proved anything
	Root        PrincipalKind = "Account"     // the account's root user
	User        PrincipalKind = "User"        // an IAM user with a long-lived key
	AssumedRole PrincipalKind = "AssumedRole" // a session of a role
	Service     PrincipalKind = "Service"     // a service, such as iot.amazonaws.com
	Certificate PrincipalKind = "Certificate" // a device's X.509 certificate
)

// A Principal is who a request comes from, once proven.
type Principal struct {
	Kind PrincipalKind
	// ARN names the caller as an error message names it: the user's ARN, the
	// session's ARN (arn:aws:sts::A:assumed-role/R/S), the certificate's ARN,
	// or, for a Service, its name ("lambda.amazonaws.com").
	ARN ARN
	// RoleARN is the role behind an AssumedRole, with its path; otherwise "".
	RoleARN ARN
	// ID is the unique id as aws:userid has it: "AIDA...", "AROA...:session",
	// the account number for Root, the certificate id for a Certificate.
	ID string
	// Name is the user's name, the session's name or the service's name.
	Name    string
	Account string
}

// Credentials are keys; with a SessionToken they live until Expiration only.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time // zero for long-lived keys
}

// String leaves the secrets out, so that credentials can be logged by mistake
// without harm.
func (c Credentials) String() string { return c.AccessKeyID + " (secret hidden)" }

// GoString is String: %#v must not print a secret either.
func (c Credentials) GoString() string { return c.String() }
