package api

import (
	"context"
	"strings"

	"strait"
	"strait/identity"
	"strait/policy"
)

func (k iotDesk) thingGroups() []Operation {
	const one = "/thing-groups/{thingGroupName}"
	return []Operation{
		op("CreateThingGroup", "POST "+one, k.mayCreateGroup, k.createGroup),
		op("DescribeThingGroup", "GET "+one, onIoT[groupInput]("iot:DescribeThingGroup"), k.describeGroup),
		op("UpdateThingGroup", "PATCH "+one, onIoT[updateGroupInput]("iot:UpdateThingGroup"), k.updateGroup),
		op("DeleteThingGroup", "DELETE "+one, onIoT[deleteGroupInput]("iot:DeleteThingGroup"), k.deleteGroup),
		op("ListThingGroups", "GET /thing-groups", on[listGroupsInput]("iot:ListThingGroups", "*"), k.listGroups),
		op("ListThingGroupsForThing", "GET /things/{thingName}/thing-groups", onIoT[pagedThingInput]("iot:ListThingGroupsForThing"), k.groupsOfThing),
		op("ListThingsInThingGroup", "GET "+one+"/things", onIoT[groupThingsInput]("iot:ListThingsInThingGroup"), k.thingsInGroup),
		op("AddThingToThingGroup", "PUT /thing-groups/addThingToThingGroup", mayMember("iot:AddThingToThingGroup"), k.addToGroup),
		op("RemoveThingFromThingGroup", "PUT /thing-groups/removeThingFromThingGroup", mayMember("iot:RemoveThingFromThingGroup"), k.removeFromGroup),
		op("UpdateThingGroupsForThing", "PUT /thing-groups/updateThingGroupsForThing", k.mayRegroup, k.regroup),
	}
}

type groupInput struct {
	Group string `aws:"path,thingGroupName" json:"-"`
}

func (in *groupInput) resource() string { return "thinggroup/" + in.Group }

type groupProperties struct {
	Description *string           `json:"thingGroupDescription,omitempty"`
	Attributes  *attributePayload `json:"attributePayload,omitempty"`
}

type createGroupInput struct {
	Group      string          `aws:"path,thingGroupName" json:"-"`
	Parent     string          `json:"parentGroupName"`
	Properties groupProperties `json:"thingGroupProperties"`
	Tags       []tag           `json:"tags"`
}

type createGroupOutput struct {
	Name string     `json:"thingGroupName"`
	ARN  strait.ARN `json:"thingGroupArn"`
	ID   string     `json:"thingGroupId"`
}

// taggedAsk asks for action on something that is made with tags.
func taggedAsk(action strait.Action, arn strait.ARN, tags []tag) []Ask {
	x := policy.Context{}
	setRequestTags(x, tags)
	return askWith(action, arn, x)
}

func (k iotDesk) mayCreateGroup(_ context.Context, v View, _ *Caller, in *createGroupInput) ([]Ask, error) {
	return taggedAsk("iot:CreateThingGroup", v.Place().IoT("thinggroup/"+in.Group), in.Tags), nil
}

func (k iotDesk) createGroup(ctx context.Context, _ Call, in *createGroupInput) (*createGroupOutput, error) {
	g := identity.ThingGroup{Name: in.Group, Parent: in.Parent, Attributes: in.Properties.Attributes.apply(nil)}
	if in.Properties.Description != nil {
		g.Description = *in.Properties.Description
	}
	made, err := k.directory.CreateThingGroup(ctx, g, tagsOf(in.Tags))
	if err != nil {
		return nil, err
	}
	return &createGroupOutput{made.Name, made.ARN(k.directory.Place()), made.ID}, nil
}

// A groupName is how lists name a group.
type groupName struct {
	Name string     `json:"groupName"`
	ARN  strait.ARN `json:"groupArn"`
}

func (k iotDesk) groupNames(gs []*identity.ThingGroup) []groupName {
	out := []groupName{}
	for _, g := range gs {
		out = append(out, groupName{g.Name, g.ARN(k.directory.Place())})
	}
	return out
}

type groupMetadata struct {
	Parent  string      `json:"parentGroupName,omitempty"`
	Above   []groupName `json:"rootToParentThingGroups,omitempty"`
	Created Epoch       `json:"creationDate"`
}

type describeGroupOutput struct {
	Name       string          `json:"thingGroupName"`
	ID         string          `json:"thingGroupId"`
	ARN        strait.ARN      `json:"thingGroupArn"`
	Version    int64           `json:"version"`
	Properties groupProperties `json:"thingGroupProperties"`
	Metadata   groupMetadata   `json:"thingGroupMetadata"`
}

func (k iotDesk) describeGroup(_ context.Context, _ Call, in *groupInput) (*describeGroupOutput, error) {
	g, err := k.directory.ThingGroup(in.Group)
	if err != nil {
		return nil, err
	}
	out := &describeGroupOutput{Name: g.Name, ID: g.ID, ARN: g.ARN(k.directory.Place()), Version: g.Version,
		Metadata: groupMetadata{Parent: g.Parent, Created: Epoch(g.Created)}}
	if g.Description != "" {
		out.Properties.Description = &g.Description
	}
	out.Properties.Attributes = &attributePayload{Attributes: orEmpty(g.Attributes)}
	for _, above := range k.directory.Lineage(g)[1:] {
		out.Metadata.Above = append(k.groupNames([]*identity.ThingGroup{above}), out.Metadata.Above...)
	}
	return out, nil
}

type updateGroupInput struct {
	Group      string          `aws:"path,thingGroupName" json:"-"`
	Properties groupProperties `json:"thingGroupProperties"`
	Expected   *int64          `json:"expectedVersion"`
}

func (in *updateGroupInput) resource() string { return "thinggroup/" + in.Group }

type versionOutput struct {
	Version int64 `json:"version"`
}

func (k iotDesk) updateGroup(ctx context.Context, _ Call, in *updateGroupInput) (*versionOutput, error) {
	v, err := k.directory.ChangeThingGroup(ctx, in.Group, func(g *identity.ThingGroup) error {
		if err := conflictingVersion(in.Expected, g.Version); err != nil {
			return err
		}
		if in.Properties.Description != nil {
			g.Description = *in.Properties.Description
		}
		g.Attributes = in.Properties.Attributes.apply(g.Attributes)
		return nil
	})
	return &versionOutput{v}, err
}

type deleteGroupInput struct {
	Group    string `aws:"path,thingGroupName" json:"-"`
	Expected *int64 `aws:"query,expectedVersion" json:"-"`
}

func (in *deleteGroupInput) resource() string { return "thinggroup/" + in.Group }

func (k iotDesk) deleteGroup(ctx context.Context, _ Call, in *deleteGroupInput) (*Nothing, error) {
	return nil, k.directory.DeleteThingGroup(ctx, in.Group, func(g *identity.ThingGroup) error { return conflictingVersion(in.Expected, g.Version) })
}

type listGroupsInput struct {
	Token     string `aws:"query,nextToken"`
	Limit     *int   `aws:"query,maxResults"`
	Parent    string `aws:"query,parentGroup"`
	Prefix    string `aws:"query,namePrefixFilter"`
	Recursive *bool  `aws:"query,recursive"`
}

type listGroupsOutput struct {
	Groups []groupName `json:"thingGroups"`
	Token  string      `json:"nextToken,omitempty"`
}

func (k iotDesk) pageOfGroups(gs []*identity.ThingGroup, token string, limit *int) (*listGroupsOutput, error) {
	gs, token, err := page(gs, func(g *identity.ThingGroup) string { return g.Name }, token, limit)
	return &listGroupsOutput{k.groupNames(gs), token}, err
}

// listGroups: without "recursive" all groups are listed, of a parent its
// children only.
func (k iotDesk) listGroups(_ context.Context, _ Call, in *listGroupsInput) (*listGroupsOutput, error) {
	recursive := in.Parent == ""
	if in.Recursive != nil {
		recursive = *in.Recursive
	}
	gs, err := k.directory.ThingGroups(in.Parent, in.Prefix, recursive)
	if err != nil {
		return nil, err
	}
	return k.pageOfGroups(gs, in.Token, in.Limit)
}

func (k iotDesk) groupsOfThing(_ context.Context, _ Call, in *pagedThingInput) (*listGroupsOutput, error) {
	t, err := k.directory.Thing(in.Thing)
	if err != nil {
		return nil, err
	}
	return k.pageOfGroups(k.directory.GroupsOf(t), in.Token, in.Limit)
}

type groupThingsInput struct {
	Group     string `aws:"path,thingGroupName" json:"-"`
	Recursive bool   `aws:"query,recursive" json:"-"`
	Token     string `aws:"query,nextToken" json:"-"`
	Limit     *int   `aws:"query,maxResults" json:"-"`
}

func (in *groupThingsInput) resource() string { return "thinggroup/" + in.Group }

func (k iotDesk) thingsInGroup(_ context.Context, _ Call, in *groupThingsInput) (*principalThingsOutput, error) {
	names, err := k.directory.ThingsIn(in.Group, in.Recursive)
	if err != nil {
		return nil, err
	}
	names, token, err := page(names, func(n string) string { return n }, in.Token, in.Limit)
	return &principalThingsOutput{append([]string{}, names...), token}, err
}

// A memberInput names a thing and a group, each by name or ARN. There are no
// dynamic groups here that overrideDynamicGroups could speak of.
type memberInput struct {
	Group    string     `json:"thingGroupName"`
	GroupARN strait.ARN `json:"thingGroupArn"`
	Thing    string     `json:"thingName"`
	ThingARN strait.ARN `json:"thingArn"`
}

// nameOrARN reads a name that is given as it is or in an ARN; both must agree.
func nameOrARN(p strait.Place, kind, name string, arn strait.ARN) (string, error) {
	if arn == "" && name != "" {
		return name, nil
	}
	read, ok := strings.CutPrefix(string(arn), string(p.IoT(kind+"/")))
	if !ok || read == "" || name != "" && name != read {
		return "", strait.Errorf(strait.Invalid, "request", "The %s must be given by its name or its ARN.", kind)
	}
	return read, nil
}

func (in *memberInput) read(p strait.Place) (thing, group string, err error) {
	if thing, err = nameOrARN(p, "thing", in.Thing, in.ThingARN); err != nil {
		return "", "", err
	}
	group, err = nameOrARN(p, "thinggroup", in.Group, in.GroupARN)
	return thing, group, err
}

// mayMember asks for action on the thing and on the group.
func mayMember(action strait.Action) func(context.Context, View, *Caller, *memberInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *memberInput) ([]Ask, error) {
		thing, group, err := in.read(v.Place())
		if err != nil {
			return nil, err
		}
		return askAbout(v, action, thing, []string{group}), nil
	}
}

func askAbout(v View, action strait.Action, thing string, groups []string) []Ask {
	asks := ask(action, v.Place().IoT("thing/"+thing))
	for _, g := range groups {
		asks = append(asks, Ask{Action: action, Resource: v.Place().IoT("thinggroup/" + g)})
	}
	return asks
}

func (k iotDesk) addToGroup(ctx context.Context, _ Call, in *memberInput) (*Nothing, error) {
	thing, group, err := in.read(k.directory.Place())
	if err != nil {
		return nil, err
	}
	return nil, k.directory.Regroup(ctx, thing, []string{group}, nil)
}

func (k iotDesk) removeFromGroup(ctx context.Context, _ Call, in *memberInput) (*Nothing, error) {
	thing, group, err := in.read(k.directory.Place())
	if err != nil {
		return nil, err
	}
	return nil, k.directory.Regroup(ctx, thing, nil, []string{group})
}

type regroupInput struct {
	Thing  string   `json:"thingName"`
	Add    []string `json:"thingGroupsToAdd"`
	Remove []string `json:"thingGroupsToRemove"`
}

// maxRegroup bounds the groups that one call names: as many as a thing may be
// in, to leave and to join.
const maxRegroup = 10

func (k iotDesk) mayRegroup(_ context.Context, v View, _ *Caller, in *regroupInput) ([]Ask, error) {
	if len(in.Add) > maxRegroup || len(in.Remove) > maxRegroup {
		return nil, strait.Errorf(strait.Invalid, "request", "At most %d thing groups can be given.", maxRegroup)
	}
	asks := askAbout(v, "iot:UpdateThingGroupsForThing", in.Thing, in.Add)
	return append(asks, askAbout(v, "iot:UpdateThingGroupsForThing", in.Thing, in.Remove)[1:]...), nil
}

func (k iotDesk) regroup(ctx context.Context, _ Call, in *regroupInput) (*Nothing, error) {
	return nil, k.directory.Regroup(ctx, in.Thing, in.Add, in.Remove)
}
