package api

import (
	"context"
	"maps"
	"slices"
	"strings"

	"strait"
	"strait/identity"
	"strait/policy"
)

// An iamHolder serves what roles and users have in common: they hold inline
// and managed policies, a permissions boundary and tags. Each operation is
// there twice, as PutRolePolicy and PutUserPolicy; a shape has both names and
// kind says which one counts.
type iamHolder struct {
	directory *identity.Directory
	kind      string // "Role" or "User"
}

func (h iamHolder) operations() []Operation {
	return []Operation{
		op("Put"+h.kind+"Policy", "", h.mayPut, h.put),
		op("Get"+h.kind+"Policy", "", h.onInline("Get"), h.get),
		op("Delete"+h.kind+"Policy", "", h.onInline("Delete"), h.delete),
		op("List"+h.kind+"Policies", "", h.onList("List"+h.kind+"Policies"), h.list),

		op("Attach"+h.kind+"Policy", "", h.onManaged("Attach"), h.attach),
		op("Detach"+h.kind+"Policy", "", h.onManaged("Detach"), h.detach),
		op("ListAttached"+h.kind+"Policies", "", h.onList("ListAttached"+h.kind+"Policies"), h.listAttached),

		op("Put"+h.kind+"PermissionsBoundary", "", h.mayPutBoundary, h.putBoundary),
		op("Delete"+h.kind+"PermissionsBoundary", "", h.mayDeleteBoundary, h.deleteBoundary),

		op("Tag"+h.kind, "", h.mayTag, h.tag),
		op("Untag"+h.kind, "", h.mayUntag, h.untag),
		op("List"+h.kind+"Tags", "", h.onList("List"+h.kind+"Tags"), h.listTags),
	}
}

// named is who an operation is about.
type named struct{ role, user string }

func (h iamHolder) name(n named) string {
	if h.kind == "Role" {
		return n.role
	}
	return n.user
}

// held is what a role or user holds. What read returns must not be changed.
type held struct {
	Name     string
	Inline   identity.Inline
	Attached []strait.ARN
	Boundary strait.ARN
	Tags     map[string]string
}

func (h iamHolder) read(n named) (held, error) {
	if h.kind == "Role" {
		r, err := h.directory.Role(n.role)
		if err != nil {
			return held{}, err
		}
		return held{r.Name, r.Inline, r.Attached, r.Boundary, r.Tags}, nil
	}
	u, err := h.directory.User(n.user)
	if err != nil {
		return held{}, err
	}
	return held{u.Name, u.Inline, u.Attached, u.Boundary, u.Tags}, nil
}

// change applies fn to a copy of what is held and keeps the result.
func (h iamHolder) change(ctx context.Context, n named, fn func(*held) error) (*Nothing, error) {
	if h.kind == "Role" {
		return nil, h.directory.ChangeRole(ctx, n.role, func(r *identity.Role) error {
			e := held{r.Name, r.Inline, r.Attached, r.Boundary, r.Tags}
			err := fn(&e)
			r.Inline, r.Attached, r.Boundary, r.Tags = e.Inline, e.Attached, e.Boundary, e.Tags
			return err
		})
	}
	return nil, h.directory.ChangeUser(ctx, n.user, func(u *identity.User) error {
		e := held{u.Name, u.Inline, u.Attached, u.Boundary, u.Tags}
		err := fn(&e)
		u.Inline, u.Attached, u.Boundary, u.Tags = e.Inline, e.Attached, e.Boundary, e.Tags
		return err
	})
}

// ask asks for an action on the role or user, with x and, unless x has one,
// the boundary that it has: who may only hand out what is bounded asks so.
func (h iamHolder) ask(v View, verb string, n named, x policy.Context) ([]Ask, error) {
	asks, err := h.askPlain(v, verb, n)
	if err != nil {
		return nil, err
	}
	y := policy.Context{}
	if e, err := h.read(n); err == nil && e.Boundary != "" {
		y.Set("iam:PermissionsBoundary", string(e.Boundary))
	}
	maps.Copy(y, asks[0].Context)
	maps.Copy(y, x)
	asks[0].Context = y
	return asks, nil
}

func (h iamHolder) askPlain(v View, operation string, n named) ([]Ask, error) {
	action := strait.Action("iam:" + operation)
	if h.kind == "Role" {
		return askRole(v, action, n.role)
	}
	return askUser(v, action, n.user)
}

type inlineInput struct{ RoleName, UserName, PolicyName, PolicyDocument string }

func (h iamHolder) mayPut(_ context.Context, v View, _ *Caller, in *inlineInput) ([]Ask, error) {
	if err := identity.CheckName("policyName", in.PolicyName, 128); err != nil {
		return nil, err
	}
	if err := checkDocument("PolicyDocument", in.PolicyDocument); err != nil {
		return nil, err
	}
	return h.ask(v, "Put"+h.kind+"Policy", named{in.RoleName, in.UserName}, nil)
}

func (h iamHolder) put(ctx context.Context, _ Call, in *inlineInput) (*Nothing, error) {
	most := identity.MaxInlineUser
	if h.kind == "Role" {
		most = identity.MaxInlineRole
	}
	return h.change(ctx, named{in.RoleName, in.UserName}, func(e *held) error {
		return identity.SetInline(e.Inline, strings.ToLower(h.kind)+" "+e.Name, most, in.PolicyName, in.PolicyDocument)
	})
}

func (h iamHolder) onInline(verb string) func(context.Context, View, *Caller, *inlineInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *inlineInput) ([]Ask, error) {
		if err := identity.CheckName("policyName", in.PolicyName, 128); err != nil {
			return nil, err
		}
		return h.ask(v, verb+h.kind+"Policy", named{in.RoleName, in.UserName}, nil)
	}
}

// find returns the name of an inline policy as it was given: like all names
// of IAM it is found whatever the case.
func (h iamHolder) find(e held, name string) (string, error) {
	for n := range e.Inline {
		if strings.EqualFold(n, name) {
			return n, nil
		}
	}
	return "", strait.Errorf(strait.NotFound, "policy", "The %s policy with name %s cannot be found.", strings.ToLower(h.kind), name)
}

type inlineOutput struct {
	RoleName       string `xml:",omitempty"`
	UserName       string `xml:",omitempty"`
	PolicyName     string
	PolicyDocument string
}

func (h iamHolder) get(_ context.Context, _ Call, in *inlineInput) (*inlineOutput, error) {
	e, err := h.read(named{in.RoleName, in.UserName})
	if err != nil {
		return nil, err
	}
	name, err := h.find(e, in.PolicyName)
	if err != nil {
		return nil, err
	}
	out := &inlineOutput{PolicyName: name, PolicyDocument: encodeDocument(e.Inline[name].Text)}
	if h.kind == "Role" {
		out.RoleName = e.Name
	} else {
		out.UserName = e.Name
	}
	return out, nil
}

func (h iamHolder) delete(ctx context.Context, _ Call, in *inlineInput) (*Nothing, error) {
	return h.change(ctx, named{in.RoleName, in.UserName}, func(e *held) error {
		name, err := h.find(*e, in.PolicyName)
		delete(e.Inline, name)
		return err
	})
}

type heldInput struct {
	RoleName, UserName string
	PathPrefix         string
	Marker             string
	MaxItems           *int
}

func (h iamHolder) onList(operation string) func(context.Context, View, *Caller, *heldInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *heldInput) ([]Ask, error) {
		if err := checkPrefix(in.PathPrefix); err != nil {
			return nil, err
		}
		return h.askPlain(v, operation, named{in.RoleName, in.UserName})
	}
}

type policyNamesOutput struct {
	PolicyNames members[string]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (h iamHolder) list(_ context.Context, _ Call, in *heldInput) (*policyNamesOutput, error) {
	e, err := h.read(named{in.RoleName, in.UserName})
	if err != nil {
		return nil, err
	}
	names, next, err := cut(pager{in.Marker, in.MaxItems}, slices.Collect(maps.Keys(e.Inline)), func(s string) string { return s })
	return &policyNamesOutput{names, next != "", next}, err
}

type managedInput struct {
	RoleName, UserName string
	PolicyArn          strait.ARN
}

func (h iamHolder) onManaged(verb string) func(context.Context, View, *Caller, *managedInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *managedInput) ([]Ask, error) {
		if err := checkPolicyARN("PolicyArn", in.PolicyArn); err != nil {
			return nil, err
		}
		x := policy.Context{}
		x.Set("iam:PolicyARN", string(in.PolicyArn))
		return h.ask(v, verb+h.kind+"Policy", named{in.RoleName, in.UserName}, x)
	}
}

func (h iamHolder) attach(ctx context.Context, _ Call, in *managedInput) (*Nothing, error) {
	return h.change(ctx, named{in.RoleName, in.UserName}, func(e *held) (err error) {
		e.Attached, err = h.directory.Attach(e.Attached, in.PolicyArn, h.kind)
		return err
	})
}

func (h iamHolder) detach(ctx context.Context, _ Call, in *managedInput) (*Nothing, error) {
	return h.change(ctx, named{in.RoleName, in.UserName}, func(e *held) (err error) {
		e.Attached, err = identity.Detach(e.Attached, in.PolicyArn)
		return err
	})
}

type attachedPolicy struct {
	PolicyName string
	PolicyArn  strait.ARN
}

type attachedOutput struct {
	AttachedPolicies members[attachedPolicy]
	IsTruncated      bool
	Marker           string `xml:",omitempty"`
}

func (h iamHolder) listAttached(_ context.Context, _ Call, in *heldInput) (*attachedOutput, error) {
	e, err := h.read(named{in.RoleName, in.UserName})
	if err != nil {
		return nil, err
	}
	var all []attachedPolicy
	for _, arn := range e.Attached {
		if p, err := h.directory.Managed(arn); err == nil && strings.HasPrefix(p.Path, in.PathPrefix) {
			all = append(all, attachedPolicy{p.Name, arn})
		}
	}
	all, next, err := cut(pager{in.Marker, in.MaxItems}, all, func(p attachedPolicy) string { return string(p.PolicyArn) })
	return &attachedOutput{all, next != "", next}, err
}

type boundaryInput struct {
	RoleName, UserName  string
	PermissionsBoundary strait.ARN
}

func (h iamHolder) mayPutBoundary(_ context.Context, v View, _ *Caller, in *boundaryInput) ([]Ask, error) {
	if err := checkPolicyARN("PermissionsBoundary", in.PermissionsBoundary); err != nil {
		return nil, err
	}
	x := policy.Context{}
	x.Set("iam:PermissionsBoundary", string(in.PermissionsBoundary))
	return h.ask(v, "Put"+h.kind+"PermissionsBoundary", named{in.RoleName, in.UserName}, x)
}

func (h iamHolder) putBoundary(ctx context.Context, _ Call, in *boundaryInput) (*Nothing, error) {
	return h.change(ctx, named{in.RoleName, in.UserName}, func(e *held) error {
		e.Boundary = in.PermissionsBoundary
		return h.directory.CheckBoundary(e.Boundary)
	})
}

func (h iamHolder) mayDeleteBoundary(_ context.Context, v View, _ *Caller, in *boundaryInput) ([]Ask, error) {
	return h.ask(v, "Delete"+h.kind+"PermissionsBoundary", named{in.RoleName, in.UserName}, nil)
}

func (h iamHolder) deleteBoundary(ctx context.Context, _ Call, in *boundaryInput) (*Nothing, error) {
	return h.change(ctx, named{in.RoleName, in.UserName}, func(e *held) error {
		if e.Boundary == "" {
			return strait.Errorf(strait.NotFound, "policy", "%s %s does not have a permissions boundary.", h.kind, e.Name)
		}
		e.Boundary = ""
		return nil
	})
}

type holderTagsInput struct {
	RoleName, UserName string
	Tags               []tag
	TagKeys            []string
}

func (h iamHolder) mayTag(_ context.Context, v View, _ *Caller, in *holderTagsInput) ([]Ask, error) {
	if len(in.Tags) == 0 {
		return nil, missing("Tags")
	}
	if _, err := tagged(nil, in.Tags); err != nil {
		return nil, err
	}
	x := policy.Context{}
	setRequestTags(x, in.Tags)
	return h.ask(v, "Tag"+h.kind, named{in.RoleName, in.UserName}, x)
}

func (h iamHolder) tag(ctx context.Context, _ Call, in *holderTagsInput) (*Nothing, error) {
	return h.change(ctx, named{in.RoleName, in.UserName}, func(e *held) (err error) {
		e.Tags, err = tagged(e.Tags, in.Tags)
		return err
	})
}

func (h iamHolder) mayUntag(_ context.Context, v View, _ *Caller, in *holderTagsInput) ([]Ask, error) {
	if len(in.TagKeys) == 0 {
		return nil, missing("TagKeys")
	}
	x := policy.Context{}
	x.Set("aws:TagKeys", in.TagKeys...)
	return h.ask(v, "Untag"+h.kind, named{in.RoleName, in.UserName}, x)
}

func (h iamHolder) untag(ctx context.Context, _ Call, in *holderTagsInput) (*Nothing, error) {
	return h.change(ctx, named{in.RoleName, in.UserName}, func(e *held) error {
		e.Tags = identity.Untagged(e.Tags, in.TagKeys)
		return nil
	})
}

type iamTagsOutput struct {
	Tags        members[tag]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (h iamHolder) listTags(_ context.Context, _ Call, in *heldInput) (*iamTagsOutput, error) {
	e, err := h.read(named{in.RoleName, in.UserName})
	if err != nil {
		return nil, err
	}
	return cutTags(pager{in.Marker, in.MaxItems}, e.Tags)
}

func cutTags(p pager, tags map[string]string) (*iamTagsOutput, error) {
	page, next, err := cut(p, tagList(tags), func(t tag) string { return t.Key })
	return &iamTagsOutput{page, next != "", next}, err
}
