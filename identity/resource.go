package identity

import (
	"context"

	"strait"
	"strait/policy"
)

// A ResourcePolicy is the policy attached to a resource that belongs to an
// engine: a bucket's policy, a function's permissions.
type ResourcePolicy struct {
	ARN      strait.ARN
	Document *Document
	Revision string
}

// ResourcePolicy returns the policy attached to arn, or nil.
func (d *Directory) ResourcePolicy(arn strait.ARN) *ResourcePolicy {
	return read(d, &d.resources, string(arn))
}

// SetResourcePolicy attaches text to arn; revision is for the caller's own use.
func (d *Directory) SetResourcePolicy(ctx context.Context, kind policy.Kind, arn strait.ARN, text, revision string) error {
	doc, err := NewDocument(kind, "resource policy of "+string(arn), text)
	if err != nil {
		return err
	}
	return d.update(ctx, func(x *tx) error {
		return put(x, &d.resources, string(arn), &ResourcePolicy{ARN: arn, Document: doc, Revision: revision})
	})
}

// DropResourcePolicy removes the policy of arn, if there is one. It is called
// before the resource itself goes: what is left after a crash in between is a
// resource that nobody but the account's own principals may use.
func (d *Directory) DropResourcePolicy(ctx context.Context, arn strait.ARN) error {
	return d.update(ctx, func(x *tx) error {
		remove(x, &d.resources, string(arn))
		return nil
	})
}
