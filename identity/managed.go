package identity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode"

	"strait"
	"strait/policy"
)

// Quotas of AWS (iam-evaluation.md, section 8).
const (
	maxAttached = 10
	maxVersions = 5
	maxInline   = 10240 // characters of all inline policies of a role
)

func noPolicy(arn strait.ARN) error {
	return strait.Errorf(strait.NotFound, "policy", "Policy %s was not found.", arn)
}

// CreateManaged adds a managed policy whose first version is text.
func (d *Directory) CreateManaged(ctx context.Context, p ManagedPolicy, text string) (*ManagedPolicy, error) {
	if err := CheckName("policyName", p.Name, 128); err != nil {
		return nil, err
	}
	path, err := checkPath(p.Path)
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
		if d.managed.get(string(p.ARN)) != nil {
			return strait.Errorf(strait.Exists, "policy", "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
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
		case d.attachedTo(arn) > 0:
			return strait.Errorf(strait.Conflict, "deletion", "Cannot delete a policy attached to entities.")
		}
		remove(x, &d.managed, string(arn))
		return nil
	})
}

// attachedTo counts the users and roles that refer to arn; the caller holds
// the change lock or the tables' lock.
func (d *Directory) attachedTo(arn strait.ARN) int {
	n := 0
	for _, u := range d.users.rows {
		if slices.Contains(u.value.Attached, arn) || u.value.Boundary == arn {
			n++
		}
	}
	for _, r := range d.roles.rows {
		if slices.Contains(r.value.Attached, arn) || r.value.Boundary == arn {
			n++
		}
	}
	return n
}

// AttachedTo counts the users and roles that refer to the policy arn.
func (d *Directory) AttachedTo(arn strait.ARN) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.attachedTo(arn)
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
		return nil, strait.Errorf(strait.NotFound, "policy", "Policy %s was not found.", arn)
	}
	return slices.Delete(attached, i, i+1), nil
}

// SetInline puts an inline policy into in, which belongs to holder, such as
// "role s3-role".
func SetInline(in Inline, holder, name, text string) error {
	if err := CheckName("policyName", name, 128); err != nil {
		return err
	}
	doc, err := NewDocument(policy.Identity, fmt.Sprintf("inline policy %s of %s", name, holder), text)
	if err != nil {
		return err
	}
	in[name] = doc
	size := 0
	for _, o := range in {
		size += characters(o.Text)
	}
	if size > maxInline {
		return strait.Errorf(strait.Limit, "policy", "Maximum policy size of %d bytes exceeded for %s", maxInline, holder)
	}
	return nil
}

// characters counts the characters of a policy text as AWS's quotas do: white
// space does not count.
func characters(text string) int {
	n := 0
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

func (d *Directory) checkBoundary(arn strait.ARN) error {
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
