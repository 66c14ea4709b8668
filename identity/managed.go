package identity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"strait"
	"strait/policy"
)

// Quotas of AWS (iam-evaluation.md, section 8).
const (
	maxAttached = 10
	maxVersions = 5

	// MaxInlineRole and MaxInlineUser are how many characters all inline
	// policies of one role or user may have together, white space not counted.
	MaxInlineRole = 10240
	MaxInlineUser = 2048
)

func noPolicy(arn strait.ARN) error {
	return strait.Errorf(strait.NotFound, "policy", "Policy %s was not found.", arn)
}

// CreateManaged adds a managed policy whose first version is text.
func (d *Directory) CreateManaged(ctx context.Context, p ManagedPolicy, text string) (*ManagedPolicy, error) {
	if err := CheckName("policyName", p.Name, 128); err != nil {
		return nil, err
	}
	path, err := CheckPath(p.Path)
	if err != nil {
		return nil, err
	}
	now := d.now().UTC()
	p.Path, p.ID, p.Created, p.Updated = path, newID("ANPA"), now, now
	p.ARN = d.place.IAM("policy" + path + p.Name)
	doc, err := NewDocument(policy.Identity, "managed policy "+string(p.ARN), text)
	if err != nil {
		return nil, err
	}
	p.Versions, p.Default, p.Last = map[string]PolicyVersion{"v1": {"v1", doc, now}}, "v1", 1
	return &p, d.update(ctx, func(x *tx) error {
		for _, o := range d.managed.rows { // the path makes no difference, nor does the case
			if !o.value.Builtin && strings.EqualFold(o.value.Name, p.Name) {
				return strait.Errorf(strait.Exists, "policy", "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
			}
		}
		return put(x, &d.managed, string(p.ARN), &p)
	})
}

// Managed returns the managed policy with that ARN, one of AWS's included.
func (d *Directory) Managed(arn strait.ARN) (*ManagedPolicy, error) {
	if p := read(d, &d.managed, string(arn)); p != nil {
		return p, nil
	}
	return nil, noPolicy(arn)
}

// ManagedPolicies returns all managed policies by ARN.
func (d *Directory) ManagedPolicies() []*ManagedPolicy { return list(d, &d.managed) }

// TagManaged replaces the tags of a policy of this account with what fn makes
// of them.
func (d *Directory) TagManaged(ctx context.Context, arn strait.ARN, fn func(old map[string]string) (map[string]string, error)) error {
	return d.ChangeManaged(ctx, arn, func(p *ManagedPolicy) (err error) {
		p.Tags, err = fn(p.Tags)
		return err
	})
}

// ChangeManaged applies fn to a copy of a policy of this account.
func (d *Directory) ChangeManaged(ctx context.Context, arn strait.ARN, fn func(p *ManagedPolicy) error) error {
	return d.update(ctx, func(x *tx) error {
		old := d.managed.get(string(arn))
		if old == nil {
			return noPolicy(arn)
		}
		if old.Builtin {
			return strait.Errorf(strait.Denied, "policy", "Policy %s belongs to AWS and cannot be changed.", arn)
		}
		p := *old
		p.Versions, p.Tags = maps.Clone(p.Versions), maps.Clone(p.Tags)
		if err := fn(&p); err != nil {
			return err
		}
		p.Updated = d.now().UTC()
		return put(x, &d.managed, string(arn), &p)
	})
}

// AddVersion adds text as a new version of a managed policy, at once in force
// when asDefault.
func (d *Directory) AddVersion(ctx context.Context, arn strait.ARN, text string, asDefault bool) (PolicyVersion, error) {
	doc, err := NewDocument(policy.Identity, "managed policy "+string(arn), text)
	if err != nil {
		return PolicyVersion{}, err
	}
	v := PolicyVersion{Document: doc, Created: d.now().UTC()}
	return v, d.ChangeManaged(ctx, arn, func(p *ManagedPolicy) error {
		if len(p.Versions) >= maxVersions {
			return strait.Errorf(strait.Limit, "policy version",
				"A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
		}
		p.Last++
		v.ID = "v" + strconv.Itoa(p.Last)
		p.Versions[v.ID] = v
		if asDefault {
			p.Default = v.ID
		}
		return nil
	})
}

// noVersion is what AWS says of a version that a policy does not have.
func noVersion(arn strait.ARN, id string) error {
	return strait.Errorf(strait.NotFound, "policy version", "Policy %s version %s does not exist or is not attachable.", arn, id)
}

// Version returns the version called id, such as "v2".
func (p *ManagedPolicy) Version(id string) (PolicyVersion, error) {
	v, ok := p.Versions[id]
	if !ok {
		return v, noVersion(p.ARN, id)
	}
	return v, nil
}

// SetDefaultVersion puts another version of a managed policy in force.
func (d *Directory) SetDefaultVersion(ctx context.Context, arn strait.ARN, id string) error {
	return d.ChangeManaged(ctx, arn, func(p *ManagedPolicy) error {
		_, err := p.Version(id)
		p.Default = id
		return err
	})
}

// DeleteVersion removes a version that is not in force.
func (d *Directory) DeleteVersion(ctx context.Context, arn strait.ARN, id string) error {
	return d.ChangeManaged(ctx, arn, func(p *ManagedPolicy) error {
		if _, err := p.Version(id); err != nil {
			return err
		}
		if id == p.Default {
			return strait.Errorf(strait.Conflict, "deletion", "Cannot delete the default version of a policy.")
		}
		delete(p.Versions, id)
		return nil
	})
}

// DeleteManaged removes a policy that is attached to nobody and has only its
// default version.
func (d *Directory) DeleteManaged(ctx context.Context, arn strait.ARN) error {
	return d.update(ctx, func(x *tx) error {
		p := d.managed.get(string(arn))
		switch {
		case p == nil:
			return noPolicy(arn)
		case p.Builtin:
			return strait.Errorf(strait.Denied, "policy", "Policy %s belongs to AWS and cannot be deleted.", arn)
		case len(p.Versions) > 1:
			return strait.Errorf(strait.Conflict, "deletion", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		case d.uses()[arn] != Uses{}:
			return strait.Errorf(strait.Conflict, "deletion", "Cannot delete a policy attached to entities.")
		}
		remove(x, &d.managed, string(arn))
		return nil
	})
}

// Uses counts how many users and roles refer to a managed policy.
type Uses struct{ Attached, Boundaries int }

// Uses returns what each managed policy is used for; those that nobody uses
// are left out.
func (d *Directory) Uses() map[strait.ARN]Uses {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.uses()
}

// uses is Uses; the caller holds the change lock or the tables' lock.
func (d *Directory) uses() map[strait.ARN]Uses {
	all := map[strait.ARN]Uses{}
	count := func(attached []strait.ARN, boundary strait.ARN) {
		for _, arn := range attached {
			u := all[arn]
			u.Attached++
			all[arn] = u
		}
		if boundary != "" {
			u := all[boundary]
			u.Boundaries++
			all[boundary] = u
		}
	}
	for _, u := range d.users.rows {
		count(u.value.Attached, u.value.Boundary)
	}
	for _, r := range d.roles.rows {
		count(r.value.Attached, r.value.Boundary)
	}
	return all
}

// Attach returns attached with arn in it; entity is what AWS calls the holder
// in the message about its quota: "Role" or "User".
func (d *Directory) Attach(attached []strait.ARN, arn strait.ARN, entity string) ([]strait.ARN, error) {
	if slices.Contains(attached, arn) {
		return attached, nil
	}
	if read(d, &d.managed, string(arn)) == nil {
		return nil, strait.Errorf(strait.NotFound, "policy", "Policy %s does not exist or is not attachable.", arn)
	}
	if len(attached) >= maxAttached {
		return nil, strait.Errorf(strait.Limit, "policy", "Cannot exceed quota for PoliciesPer%s: %d", entity, maxAttached)
	}
	return append(attached, arn), nil
}

// Detach returns attached without arn.
func Detach(attached []strait.ARN, arn strait.ARN) ([]strait.ARN, error) {
	i := slices.Index(attached, arn)
	if i < 0 {
		return nil, noPolicy(arn)
	}
	return slices.Delete(attached, i, i+1), nil
}

// SetInline puts an inline policy into in, which belongs to holder, such as
// "role s3-role"; all of in may have most characters.
func SetInline(in Inline, holder string, most int, name, text string) error {
	if err := CheckName("policyName", name, 128); err != nil {
		return err
	}
	// No size of a single document: only the total counts.
	doc := &Document{kind: policy.Identity, name: fmt.Sprintf("inline policy %s of %s", name, holder), Text: text}
	if _, err := doc.Parsed(); err != nil {
		return err
	}
	in[name] = doc
	size := 0
	for _, o := range in {
		size += policy.Size(o.Text)
	}
	if size > most {
		return strait.Errorf(strait.Limit, "policy", "Maximum policy size of %d bytes exceeded for %s", most, holder)
	}
	return nil
}

// CheckBoundary tells whether arn may be a permissions boundary: "" or a
// managed policy that exists.
func (d *Directory) CheckBoundary(arn strait.ARN) error {
	if arn == "" || read(d, &d.managed, string(arn)) != nil {
		return nil
	}
	return strait.Errorf(strait.NotFound, "policy", "Policy %s does not exist or is not attachable.", arn)
}

// builtins are AWS's managed policies that the house's patterns use. Contents:
// iam-evaluation.md, section 10.
var builtins = []struct{ path, name, version, text string }{
	{"/", "AdministratorAccess", "v1", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`},
	{"/", "IAMFullAccess", "v2", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}`},
	{"/", "AWSIoTFullAccess", "v2", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:*","iotjobsdata:*"],"Resource":"*"}]}`},
	{"/", "AWSIoTDataAccess", "v3", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Connect","iot:Publish","iot:Subscribe","iot:Receive","iot:GetThingShadow","iot:UpdateThingShadow","iot:DeleteThingShadow","iot:ListNamedShadowsForThing"],"Resource":"*"}]}`},
	{"/service-role/", "AWSIoTRuleActions", "v2", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["dynamodb:PutItem","kinesis:PutRecord","iot:Publish","s3:PutObject","sns:Publish","sqs:SendMessage*","cloudwatch:SetAlarmState","cloudwatch:PutMetricData","es:ESHttpPut","firehose:PutRecord"],"Resource":"*"}}`},
	{"/service-role/", "AWSIoTThingsRegistration", "v3", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:AddThingToThingGroup","iot:AttachPolicy","iot:AttachPrincipalPolicy","iot:AttachThingPrincipal","iot:CreateCertificateFromCsr","iot:CreatePolicy","iot:CreateThing","iot:DescribeCertificate","iot:DescribeThing","iot:DescribeThingGroup","iot:DescribeThingType","iot:DetachPolicy","iot:DetachThingPrincipal","iot:GetPolicy","iot:ListAttachedPolicies","iot:ListPolicyPrincipals","iot:ListPrincipalPolicies","iot:ListPrincipalThings","iot:ListTargetsForPolicy","iot:ListThingGroupsForThing","iot:ListThingPrincipals","iot:RegisterCertificate","iot:RegisterThing","iot:RemoveThingFromThingGroup","iot:UpdateCertificate","iot:UpdateThing","iot:UpdateThingGroupsForThing","iot:AddThingToBillingGroup","iot:DescribeBillingGroup","iot:RemoveThingFromBillingGroup"],"Resource":["*"]}]}`},
	{"/service-role/", "AWSLambdaBasicExecutionRole", "v1", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`},
	{"/service-role/", "AWSLambdaRole", "v1", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":["*"]}]}`},
	{"/", "AWSLambdaExecute", "v1", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:*"],"Resource":"arn:aws:logs:*:*:*"},{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::*"}]}`},
	{"/", "AmazonS3FullAccess", "v2", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}`},
	{"/", "AmazonS3ReadOnlyAccess", "v3", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}`},
}

func (d *Directory) loadBuiltins() {
	for _, b := range builtins {
		arn := strait.ARN("arn:aws:iam::aws:policy" + b.path + b.name)
		doc := &Document{kind: policy.Identity, name: "managed policy " + string(arn), Text: b.text}
		d.managed.rows[string(arn)] = row[ManagedPolicy]{value: &ManagedPolicy{
			ARN: arn, Name: b.name, Path: b.path, ID: "ANPA" + b.name, Builtin: true, Default: b.version,
			Versions: map[string]PolicyVersion{b.version: {ID: b.version, Document: doc}},
		}}
	}
}
