package api

import (
	"context"
	"encoding/base64"
	"strings"

	"strait"
	"strait/schedule"
)

func (k schedulerDesk) groups() []Operation {
	const one, tags = "/schedule-groups/{Name}", "/tags/{ResourceArn}"
	return []Operation{
		op("CreateScheduleGroup", "POST "+one, k.mayCreateGroup, k.createGroup),
		op("GetScheduleGroup", "GET "+one, k.onGroup("scheduler:GetScheduleGroup"), k.getGroup),
		op("DeleteScheduleGroup", "DELETE "+one, k.mayDeleteGroup, k.deleteGroup),
		op("ListScheduleGroups", "GET /schedule-groups", on[listGroupsOfSchedulesInput]("scheduler:ListScheduleGroups", "*"), k.listGroups),
		op("ListTagsForResource", "GET "+tags, onARN[groupTagsInput]("scheduler:ListTagsForResource"), k.listTags),
		op("TagResource", "POST "+tags, k.mayTag, k.tag),
		op("UntagResource", "DELETE "+tags, onARN[untagGroupInput]("scheduler:UntagResource"), k.untag),
	}
}

type groupOfSchedulesInput struct {
	Name string `aws:"path,Name"`
}

func (k schedulerDesk) onGroup(action strait.Action) func(context.Context, View, *Caller, *groupOfSchedulesInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *groupOfSchedulesInput) ([]Ask, error) {
		return ask(action, ScheduleGroupARN(v.Place(), in.Name)), nil
	}
}

type createScheduleGroupInput struct {
	Name        string `aws:"path,Name" json:"-"`
	ClientToken string
	Tags        []tag
}

func (k schedulerDesk) mayCreateGroup(_ context.Context, v View, _ *Caller, in *createScheduleGroupInput) ([]Ask, error) {
	return taggedAsk("scheduler:CreateScheduleGroup", ScheduleGroupARN(v.Place(), in.Name), in.Tags), nil
}

type scheduleGroupOutput struct{ ScheduleGroupArn strait.ARN }

func (k schedulerDesk) createGroup(ctx context.Context, _ Call, in *createScheduleGroupInput) (*scheduleGroupOutput, error) {
	tags, err := tagged(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	if err := checkClientToken(in.ClientToken); err != nil {
		return nil, err
	}
	if err := k.engine.CreateGroup(ctx, schedule.Group{Name: in.Name, Tags: tags, Token: in.ClientToken}); err != nil {
		return nil, err
	}
	return &scheduleGroupOutput{ScheduleGroupARN(k.directory.Place(), in.Name)}, nil
}

type scheduleGroup struct {
	Arn                  strait.ARN
	Name, State          string
	CreationDate         *Epoch `json:",omitempty"`
	LastModificationDate *Epoch `json:",omitempty"`
}

func (k schedulerDesk) show(g schedule.Group) *scheduleGroup {
	return &scheduleGroup{ScheduleGroupARN(k.directory.Place(), g.Name), g.Name, "ACTIVE", epochOf(g.Created), epochOf(g.Modified)}
}

func (k schedulerDesk) getGroup(_ context.Context, _ Call, in *groupOfSchedulesInput) (*scheduleGroup, error) {
	g, err := k.engine.Group(in.Name)
	if err != nil {
		return nil, err
	}
	return k.show(g), nil
}

type deleteScheduleGroupInput struct {
	Name        string `aws:"path,Name"`
	ClientToken string `aws:"query,clientToken"`
}

func (k schedulerDesk) mayDeleteGroup(_ context.Context, v View, _ *Caller, in *deleteScheduleGroupInput) ([]Ask, error) {
	return ask("scheduler:DeleteScheduleGroup", ScheduleGroupARN(v.Place(), in.Name)), nil
}

func (k schedulerDesk) deleteGroup(ctx context.Context, _ Call, in *deleteScheduleGroupInput) (*struct{}, error) {
	if err := checkClientToken(in.ClientToken); err != nil {
		return nil, err
	}
	return nil, k.engine.DeleteGroup(ctx, ScheduleFamily, in.Name, in.ClientToken)
}

type listGroupsOfSchedulesInput struct {
	Prefix string `aws:"query,NamePrefix"`
	Token  string `aws:"query,NextToken"`
	Max    *int   `aws:"query,MaxResults"`
}

type listScheduleGroupsOutput struct {
	NextToken      string `json:",omitempty"`
	ScheduleGroups []*scheduleGroup
}

func (k schedulerDesk) listGroups(_ context.Context, _ Call, in *listGroupsOfSchedulesInput) (*listScheduleGroupsOutput, error) {
	var chosen []schedule.Group
	for _, g := range k.engine.Groups() {
		if strings.HasPrefix(g.Name, in.Prefix) {
			chosen = append(chosen, g)
		}
	}
	chosen, next, err := pageOf(chosen, func(g schedule.Group) string { return g.Name }, in.Token, in.Max)
	if err != nil {
		return nil, err
	}
	out := &listScheduleGroupsOutput{NextToken: next, ScheduleGroups: []*scheduleGroup{}}
	for _, g := range chosen {
		out.ScheduleGroups = append(out.ScheduleGroups, k.show(g))
	}
	return out, nil
}

type groupTagsInput struct {
	Resource strait.ARN `aws:"path,ResourceArn"`
}

func (in *groupTagsInput) target() strait.ARN { return in.Resource }

// tagsGroup is the group that an ARN names: only groups carry tags.
func (k schedulerDesk) tagsGroup(arn strait.ARN) (string, error) {
	name, ok := strings.CutPrefix(string(arn), string(ScheduleGroupARN(k.directory.Place(), "")))
	if !ok {
		return "", scheduleError("%s is not the ARN of a schedule group; only groups carry tags.", arn)
	}
	return name, nil
}

type scheduleTagsOutput struct{ Tags []tag }

func (k schedulerDesk) listTags(_ context.Context, _ Call, in *groupTagsInput) (*scheduleTagsOutput, error) {
	name, err := k.tagsGroup(in.Resource)
	if err != nil {
		return nil, err
	}
	g, err := k.engine.Group(name)
	if err != nil {
		return nil, err
	}
	return &scheduleTagsOutput{append([]tag{}, tagList(g.Tags)...)}, nil
}

type tagGroupInput struct {
	Resource strait.ARN `aws:"path,ResourceArn" json:"-"`
	Tags     []tag
}

func (k schedulerDesk) mayTag(_ context.Context, _ View, _ *Caller, in *tagGroupInput) ([]Ask, error) {
	return taggedAsk("scheduler:TagResource", in.Resource, in.Tags), nil
}

func (k schedulerDesk) tag(ctx context.Context, _ Call, in *tagGroupInput) (*struct{}, error) {
	name, err := k.tagsGroup(in.Resource)
	if err != nil {
		return nil, err
	}
	return nil, k.engine.TagGroup(ctx, name, func(old map[string]string) (map[string]string, error) { return tagged(old, in.Tags) })
}

type untagGroupInput struct {
	Resource strait.ARN `aws:"path,ResourceArn"`
	Keys     []string   `aws:"query,TagKeys"`
}

func (in *untagGroupInput) target() strait.ARN { return in.Resource }

func (k schedulerDesk) untag(ctx context.Context, _ Call, in *untagGroupInput) (*struct{}, error) {
	name, err := k.tagsGroup(in.Resource)
	if err != nil {
		return nil, err
	}
	return nil, k.engine.TagGroup(ctx, name, func(old map[string]string) (map[string]string, error) {
		for _, key := range in.Keys {
			delete(old, key)
		}
		return old, nil
	})
}

// pageOf is a page of at most 100, which is the default, too; items are sorted
// by name.
func pageOf[T any](items []T, name func(T) string, token string, most *int) ([]T, string, error) {
	n := 100
	if most != nil {
		n = *most
	}
	after, err := base64.StdEncoding.DecodeString(token)
	if n < 1 || n > 100 || err != nil {
		return nil, "", scheduleError("The page size must be between 1 and 100, and the token one that was given.")
	}
	start := 0
	for token != "" && start < len(items) && name(items[start]) <= string(after) {
		start++
	}
	if items = items[start:]; len(items) <= n {
		return items, "", nil
	}
	return items[:n], base64.StdEncoding.EncodeToString([]byte(name(items[n-1]))), nil
}
