package api

import (
	"context"
	"sort"
	"strings"

	"strait"
	"strait/identity"
	"strait/policy"
)

func (k iotDesk) tagging() []Operation {
	return []Operation{
		op("TagResource", "POST /tags", k.mayTag, k.tagResource),
		op("UntagResource", "POST /untag", k.mayUntag, k.untagResource),
		op("ListTagsForResource", "GET /tags", k.mayListTags, k.listTags),
	}
}

func tagsOf(tags []tag) []identity.Tag {
	out := make([]identity.Tag, len(tags))
	for i, t := range tags {
		out[i] = identity.Tag(t)
	}
	return out
}

// taggable tells whether arn names a resource that may have tags, and fails
// when it does not exist. Things and certificates have none, with AWS neither.
func (k iotDesk) taggable(arn strait.ARN) (bool, error) {
	kind, name, _ := strings.Cut(arn.Resource(), "/")
	if k.directory.Place().IoT(kind+"/"+name) != arn {
		return false, strait.Errorf(strait.Invalid, "request", "%q is not the ARN of an IoT resource of this account and region.", arn)
	}
	var err error
	switch kind {
	case "thinggroup":
		_, err = k.directory.ThingGroup(name)
	case "thingtype":
		_, err = k.directory.ThingType(name)
	case "policy":
		_, err = k.directory.IoTPolicy(name)
	case "rolealias":
		_, err = k.directory.RoleAlias(name)
	case "cacert":
		_, err = k.directory.CA(name)
	case "provisioningtemplate":
		_, err = k.directory.Template(name)
	case "rule":
		// AWS's model knows no missing rule; about tags it has to be told.
		if _, missing := k.rules.Get(name); missing != nil {
			err = strait.Errorf(strait.NotFound, "request", "The resource %s does not exist.", arn)
		}
	default:
		return false, nil
	}
	return err == nil, err
}

type tagResourceInput struct {
	Resource strait.ARN `json:"resourceArn"`
	Tags     []tag      `json:"tags"`
}

func (k iotDesk) mayTag(_ context.Context, _ View, _ *Caller, in *tagResourceInput) ([]Ask, error) {
	if len(in.Tags) == 0 {
		return nil, strait.Errorf(strait.Invalid, "request", "Give at least one tag.")
	}
	return taggedAsk("iot:TagResource", in.Resource, in.Tags), nil
}

func (k iotDesk) tagResource(ctx context.Context, _ Call, in *tagResourceInput) (*Nothing, error) {
	if err := k.mustTag(in.Resource); err != nil {
		return nil, err
	}
	return nil, k.directory.TagIoT(ctx, in.Resource, tagsOf(in.Tags))
}

func (k iotDesk) mustTag(arn strait.ARN) error {
	ok, err := k.taggable(arn)
	if err == nil && !ok {
		return strait.Errorf(strait.Invalid, "request", "Resources such as %s cannot be tagged.", arn)
	}
	return err
}

type untagResourceInput struct {
	Resource strait.ARN `json:"resourceArn"`
	Keys     []string   `json:"tagKeys"`
}

func (k iotDesk) mayUntag(_ context.Context, _ View, _ *Caller, in *untagResourceInput) ([]Ask, error) {
	if len(in.Keys) == 0 {
		return nil, strait.Errorf(strait.Invalid, "request", "Give at least one key of a tag.")
	}
	x := policy.Context{}
	x.Set("aws:TagKeys", in.Keys...)
	return askWith("iot:UntagResource", in.Resource, x), nil
}

func (k iotDesk) untagResource(ctx context.Context, _ Call, in *untagResourceInput) (*Nothing, error) {
	if err := k.mustTag(in.Resource); err != nil {
		return nil, err
	}
	return nil, k.directory.UntagIoT(ctx, in.Resource, in.Keys)
}

type iotTagsInput struct {
	Resource strait.ARN `aws:"query,resourceArn"`
	Token    string     `aws:"query,nextToken"`
}

type iotTagsOutput struct {
	Tags []tag `json:"tags"`
}

func (k iotDesk) mayListTags(_ context.Context, _ View, _ *Caller, in *iotTagsInput) ([]Ask, error) {
	return ask("iot:ListTagsForResource", in.Resource), nil
}

// listTags gives all tags at once: fifty are the most. Terraform asks it about
// everything, so what cannot be tagged has none.
func (k iotDesk) listTags(_ context.Context, _ Call, in *iotTagsInput) (*iotTagsOutput, error) {
	if _, err := k.taggable(in.Resource); err != nil {
		return nil, err
	}
	out := &iotTagsOutput{[]tag{}}
	for key, v := range k.directory.IoTTags(in.Resource) {
		out.Tags = append(out.Tags, tag{key, v})
	}
	sort.Slice(out.Tags, func(i, j int) bool { return out.Tags[i].Key < out.Tags[j].Key })
	return out, nil
}
