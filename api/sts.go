package api

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/credential"
	"strait/identity"
	"strait/policy"
)

// STS returns the table of the Security Token Service (sts.md).
func STS(d *identity.Directory, issuer *credential.Issuer, now func() time.Time) Service {
	k := stsDesk{d, issuer, now}
	return Service{
		Name: "sts", Scopes: []string{"sts"}, Version: "2011-06-15", Protocol: "query", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Operations: []Operation{
			// No policy can forbid asking who one is, not even an explicit Deny.
			op("GetCallerIdentity", "", nil, k.getCallerIdentity),
			op("AssumeRole", "", k.mayAssume, k.assumeRole),
			op("GetAccessKeyInfo", "", nil, k.getAccessKeyInfo),
		},
	}
}

type stsDesk struct {
	directory *identity.Directory
	issuer    *credential.Issuer
	now       func() time.Time
}

type getCallerIdentityOutput struct {
	Arn     string
	UserId  string
	Account string
}

func (k stsDesk) getCallerIdentity(_ context.Context, c Call, _ *Nothing) (*getCallerIdentityOutput, error) {
	return &getCallerIdentityOutput{string(c.Caller.ARN), c.Caller.ID, c.Caller.Account}, nil
}

type getAccessKeyInfoInput struct{ AccessKeyId string }
type getAccessKeyInfoOutput struct{ Account string }

func (k stsDesk) getAccessKeyInfo(_ context.Context, _ Call, in *getAccessKeyInfoInput) (*getAccessKeyInfoOutput, error) {
	if n := len(in.AccessKeyId); n < 16 || n > 128 {
		return nil, constraint(in.AccessKeyId, "accessKeyId", "Member must have length between 16 and 128")
	}
	return &getAccessKeyInfoOutput{k.directory.Place().Account}, nil
}

type tag struct{ Key, Value string }

type policyARN struct {
	ARN strait.ARN `aws:"arn"`
}

// AssumeRoleInput asks for credentials of a role (sts.md, section 2.1).
type AssumeRoleInput struct {
	RoleArn           strait.ARN
	RoleSessionName   string
	DurationSeconds   *int
	Policy            string
	PolicyArns        []policyARN
	Tags              []tag
	TransitiveTagKeys []string
	ExternalId        string
	SourceIdentity    string
	SerialNumber      string
	TokenCode         string
	ProvidedContexts  []struct{ ProviderArn, ContextAssertion string }
}

type credentialsOutput struct {
	AccessKeyId     string
	SecretAccessKey string
	SessionToken    string
	Expiration      Stamp
}

type assumedRoleUser struct {
	Arn           string
	AssumedRoleId string
}

// AssumeRoleOutput is the answer to AssumeRole.
type AssumeRoleOutput struct {
	Credentials      credentialsOutput
	AssumedRoleUser  assumedRoleUser
	PackedPolicySize *int   `xml:",omitempty"`
	SourceIdentity   string `xml:",omitempty"`

	credentials strait.Credentials
}

// Issued returns the credentials themselves.
func (o *AssumeRoleOutput) Issued() strait.Credentials { return o.credentials }

var (
	sessionNameRE = regexp.MustCompile(`^[\w+=,.@-]*$`)
	externalIDRE  = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`) // and 1,224 at the most
	policyTextRE  = regexp.MustCompile("^[\t\n\r\u0020-\u00ff]+$")
)

// constraint is how AWS says that a value does not fit its shape.
func constraint(value, at, what string) error {
	return strait.Errorf(strait.Invalid, "parameter", "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, at, what)
}

func (in *AssumeRoleInput) check() error {
	if len(in.RoleArn) < 20 || len(in.RoleArn) > 2048 {
		return constraint(string(in.RoleArn), "roleArn", "Member must have length between 20 and 2048")
	}
	if err := checkSessionName("roleSessionName", in.RoleSessionName); err != nil {
		return err
	}
	if in.ExternalId != "" && (len(in.ExternalId) > 1224 || !externalIDRE.MatchString(in.ExternalId)) {
		return constraint(in.ExternalId, "externalId", `Member must satisfy regular expression pattern: [\w+=,.@:\/-]*`)
	}
	if in.SourceIdentity != "" {
		if err := checkSessionName("sourceIdentity", in.SourceIdentity); err != nil {
			return err
		}
	}
	if p, err := in.RoleArn.Parse(); err != nil || p.Service != "iam" || !strings.HasPrefix(p.Resource, "role/") {
		return strait.Errorf(strait.Invalid, "parameter", "%s is invalid", in.RoleArn)
	}
	if in.SerialNumber != "" || in.TokenCode != "" {
		return strait.Errorf(strait.Unsupported, "parameter", "MFA (SerialNumber, TokenCode) is not offered here.")
	}
	if len(in.ProvidedContexts) > 0 {
		return strait.Errorf(strait.Unsupported, "parameter", "Trusted context assertions (ProvidedContexts) are not offered here.")
	}
	if in.Policy != "" && !policyTextRE.MatchString(in.Policy) {
		return constraint("...", "policy", `Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`)
	}
	return in.checkTags()
}

// checkSessionName judges the name that a session is given: its letters, then
// its length.
func checkSessionName(at, name string) error {
	switch {
	case !sessionNameRE.MatchString(name):
		return constraint(name, at, `Member must satisfy regular expression pattern: [\w+=,.@-]*`)
	case len(name) < 2:
		return constraint(name, at, "Member must have length greater than or equal to 2")
	case len(name) > 64:
		return constraint(name, at, "Member must have length less than or equal to 64")
	}
	return nil
}

func (in *AssumeRoleInput) checkTags() error {
	if len(in.Tags) > 50 || len(in.TransitiveTagKeys) > 50 || len(in.PolicyArns) > 10 {
		return constraint("...", "tags", "at most 50 tags, 50 transitive keys and 10 policy ARNs")
	}
	seen := map[string]bool{}
	for _, t := range in.Tags {
		k := strings.ToLower(t.Key)
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(k, "aws:") {
			return constraint(t.Key, "tags", "keys have 1 to 128 characters and do not begin with aws:, values 256 at most")
		}
		if seen[k] {
			return strait.Errorf(strait.Invalid, "parameter value", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[k] = true
	}
	for _, k := range in.TransitiveTagKeys {
		if !seen[strings.ToLower(k)] {
			return strait.Errorf(strait.Invalid, "parameter value", "The specified transitive tag key must be included in the requested tags.")
		}
	}
	return nil
}

// mayAssume asks the role's trust policy (and, where it delegates, the
// caller's own policies) for each thing that the request wants.
func (k stsDesk) mayAssume(_ context.Context, _ View, c *Caller, in *AssumeRoleInput) ([]Ask, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	x := policy.Context{}
	x.Set("sts:RoleSessionName", in.RoleSessionName)
	if in.ExternalId != "" {
		x.Set("sts:ExternalId", in.ExternalId)
	}
	if in.SourceIdentity != "" {
		x.Set("sts:SourceIdentity", in.SourceIdentity)
	}
	if len(in.Tags) > 0 {
		var keys []string
		for _, t := range in.Tags {
			x.Set("aws:RequestTag/"+t.Key, t.Value)
			keys = append(keys, t.Key)
		}
		x.Set("aws:TagKeys", keys...)
	}
	if len(in.TransitiveTagKeys) > 0 {
		x.Set("sts:TransitiveTagKeys", in.TransitiveTagKeys...)
	}
	asks := askWith("sts:AssumeRole", in.RoleArn, x)
	if len(in.Tags) > 0 {
		asks = append(asks, Ask{Action: "sts:TagSession", Resource: in.RoleArn, Context: x})
	}
	if in.SourceIdentity != "" || c.Session != nil && c.Session.SourceIdentity != "" {
		asks = append(asks, Ask{Action: "sts:SetSourceIdentity", Resource: in.RoleArn, Context: x})
	}
	return asks, nil
}

func (k stsDesk) assumeRole(_ context.Context, c Call, in *AssumeRoleInput) (*AssumeRoleOutput, error) {
	role := k.directory.RoleByARN(in.RoleArn)
	if role == nil {
		return nil, strait.Errorf(strait.Denied, "action", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.Caller.ARN, in.RoleArn)
	}
	chained := c.Caller.Kind == strait.AssumedRole
	life, err := sessionLife(in, role, chained)
	if err != nil {
		return nil, err
	}
	if err := k.checkPolicies(in); err != nil {
		return nil, err
	}
	now := k.now()
	s := credential.Session{
		Kind: strait.AssumedRole, RoleID: role.ID, RoleARN: in.RoleArn, Name: in.RoleSessionName,
		Policy: in.Policy, Trace: c.Caller.Trace, Issued: now, Expires: now.Add(life), Chained: chained, SourceIdentity: in.SourceIdentity,
	}
	for _, p := range in.PolicyArns {
		s.PolicyARNs = append(s.PolicyARNs, p.ARN)
	}
	if err := inherit(&s, c.Caller.Session, in); err != nil {
		return nil, err
	}
	creds, packed, err := k.issuer.Issue(s)
	if err != nil {
		return nil, err
	}
	out := &AssumeRoleOutput{
		Credentials:     credentialsOutput{creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken, Stamp(creds.Expiration)},
		AssumedRoleUser: assumedRoleUser{string(k.directory.ForSession(&s).ARN), role.ID + ":" + s.Name},
		SourceIdentity:  s.SourceIdentity,
		credentials:     creds,
	}
	if packed > 0 {
		out.PackedPolicySize = &packed
	}
	return out, nil
}

// sessionLife is how long the session lives; chained ones one hour at most,
// whatever the role says (sts.md, section 2.3).
func sessionLife(in *AssumeRoleInput, role *identity.Role, chained bool) (time.Duration, error) {
	seconds := 3600
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	life := time.Duration(seconds) * time.Second
	switch {
	case seconds < 900:
		return 0, strait.Errorf(strait.Invalid, "parameter", "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900", seconds)
	case seconds > 43200:
		return 0, strait.Errorf(strait.Invalid, "parameter", "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200", seconds)
	case chained && seconds > 3600:
		return 0, strait.Errorf(strait.Invalid, "parameter", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	case life > role.MaxSession:
		return 0, strait.Errorf(strait.Invalid, "parameter", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return life, nil
}

// checkPolicies judges the session policies: 2,048 characters of plain text
// for the inline one and the managed ones' ARNs together, valid grammar, and
// managed ones that exist.
func (k stsDesk) checkPolicies(in *AssumeRoleInput) error {
	size := len([]rune(in.Policy))
	for _, p := range in.PolicyArns {
		if _, err := k.directory.Managed(p.ARN); err != nil {
			return strait.Errorf(strait.Invalid, "parameter", "%s does not exist or is not attachable.", p.ARN)
		}
		size += len(p.ARN)
	}
	if size > 2048 {
		return strait.Errorf(strait.Invalid, "parameter", "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to 2048")
	}
	if in.Policy == "" {
		return nil
	}
	_, err := identity.NewDocument(policy.Session, "session policy of "+in.RoleSessionName, in.Policy)
	return err
}

// inherit carries over what sticks to a chain of sessions: source identity and
// transitive tags, which the next session cannot change.
func inherit(s, from *credential.Session, in *AssumeRoleInput) error {
	s.Tags = map[string]string{}
	for _, t := range in.Tags {
		s.Tags[t.Key] = t.Value
		if slices.ContainsFunc(in.TransitiveTagKeys, func(k string) bool { return strings.EqualFold(k, t.Key) }) {
			s.Transitive = append(s.Transitive, t.Key) // as the tag has it, whatever the case
		}
	}
	if from == nil {
		return nil
	}
	for _, key := range from.Transitive {
		for k := range s.Tags {
			if strings.EqualFold(k, key) {
				return strait.Errorf(strait.Invalid, "parameter value", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
			}
		}
		s.Tags[key] = from.Tags[key]
		s.Transitive = append(s.Transitive, key)
	}
	if from.SourceIdentity != "" {
		if s.SourceIdentity != "" && s.SourceIdentity != from.SourceIdentity {
			return strait.Errorf(strait.Invalid, "parameter", "The source identity is set already and cannot be changed.")
		}
		s.SourceIdentity = from.SourceIdentity
	}
	return nil
}
