package api

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"strait"
	"strait/identity"
	"strait/policy"
)

func (k iamDesk) versions() []Operation {
	return []Operation{
		op("CreatePolicyVersion", "", k.mayCreateVersion, k.createVersion),
		op("GetPolicyVersion", "", k.onVersion("iam:GetPolicyVersion"), k.getVersion),
		op("ListPolicyVersions", "", k.onPolicy("iam:ListPolicyVersions"), k.listVersions),
		op("SetDefaultPolicyVersion", "", k.onVersion("iam:SetDefaultPolicyVersion"), k.setDefaultVersion),
		op("DeletePolicyVersion", "", k.onVersion("iam:DeletePolicyVersion"), k.deleteVersion),
	}
}

// A policyVersion as answers show it; only GetPolicyVersion has the document.
type policyVersion struct {
	Document         string `xml:",omitempty"`
	VersionId        string
	IsDefaultVersion bool
	CreateDate       *Stamp `xml:",omitempty"`
}

func showManagedVersion(v identity.PolicyVersion, standard string) policyVersion {
	return policyVersion{VersionId: v.ID, IsDefaultVersion: v.ID == standard, CreateDate: stamp(v.Created)}
}

type managedVersionOutput struct{ PolicyVersion policyVersion }

type createManagedVersionInput struct {
	PolicyArn      strait.ARN
	PolicyDocument string
	SetAsDefault   bool
}

func (k iamDesk) mayCreateVersion(_ context.Context, _ View, _ *Caller, in *createManagedVersionInput) ([]Ask, error) {
	if err := checkDocument("PolicyDocument", in.PolicyDocument); err != nil {
		return nil, err
	}
	return k.askPolicy("iam:CreatePolicyVersion", in.PolicyArn, policy.Context{})
}

func (k iamDesk) createVersion(ctx context.Context, _ Call, in *createManagedVersionInput) (*managedVersionOutput, error) {
	v, err := k.directory.AddVersion(ctx, in.PolicyArn, in.PolicyDocument, in.SetAsDefault)
	if err != nil {
		return nil, err
	}
	out := showManagedVersion(v, "")
	out.IsDefaultVersion = in.SetAsDefault
	return &managedVersionOutput{out}, nil
}

type managedVersionInput struct {
	PolicyArn strait.ARN
	VersionId string
}

var versionRE = regexp.MustCompile(`^v[1-9][0-9]*(\.[A-Za-z0-9-]*)?$`)

func (k iamDesk) onVersion(action strait.Action) func(context.Context, View, *Caller, *managedVersionInput) ([]Ask, error) {
	return func(_ context.Context, _ View, _ *Caller, in *managedVersionInput) ([]Ask, error) {
		if in.VersionId == "" {
			return nil, missing("VersionId")
		}
		if !versionRE.MatchString(in.VersionId) {
			return nil, unfit("versionId", `Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
		}
		return k.askPolicy(action, in.PolicyArn, policy.Context{})
	}
}

func (k iamDesk) getVersion(_ context.Context, _ Call, in *managedVersionInput) (*managedVersionOutput, error) {
	p, err := k.directory.Managed(in.PolicyArn)
	if err != nil {
		return nil, err
	}
	v, err := p.Version(in.VersionId)
	if err != nil {
		return nil, err
	}
	out := showManagedVersion(v, p.Default)
	out.Document = encodeDocument(v.Document.Text)
	return &managedVersionOutput{out}, nil
}

type policyVersionsOutput struct {
	Versions    members[policyVersion]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

// listVersions tells the latest version first, as AWS does.
func (k iamDesk) listVersions(_ context.Context, _ Call, in *managedPolicyInput) (*policyVersionsOutput, error) {
	p, err := k.directory.Managed(in.PolicyArn)
	if err != nil {
		return nil, err
	}
	all, next, err := cut(pager{in.Marker, in.MaxItems}, slices.Collect(maps.Values(p.Versions)), latestFirst)
	if err != nil {
		return nil, err
	}
	out := &policyVersionsOutput{IsTruncated: next != "", Marker: next}
	for _, v := range all {
		out.Versions = append(out.Versions, showManagedVersion(v, p.Default))
	}
	return out, nil
}

// latestFirst is a key in whose order the latest version comes first.
func latestFirst(v identity.PolicyVersion) string {
	n, _ := strconv.Atoi(v.ID[1:])
	return strconv.Itoa(1<<30 - n)
}

func (k iamDesk) setDefaultVersion(ctx context.Context, _ Call, in *managedVersionInput) (*Nothing, error) {
	return nil, k.directory.SetDefaultVersion(ctx, in.PolicyArn, in.VersionId)
}

func (k iamDesk) deleteVersion(ctx context.Context, _ Call, in *managedVersionInput) (*Nothing, error) {
	return nil, k.directory.DeleteVersion(ctx, in.PolicyArn, in.VersionId)
}
