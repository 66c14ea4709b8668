package identity_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"strait"
	"strait/identity"
)

func (h *house) group(name, parent string) *identity.ThingGroup {
	h.t.Helper()
	g, err := h.CreateThingGroup(context.Background(), identity.ThingGroup{Name: name, Parent: parent}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

func (h *house) thing(name string) *identity.Thing {
	h.t.Helper()
	t, err := h.CreateThing(context.Background(), identity.Thing{Name: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

// refused wants err to be of a kind, with these words.
func (h *house) refused(what string, err error, kind strait.Kind, words string) {
	h.t.Helper()
	if err == nil || strait.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		h.t.Errorf("%s: got %v, want kind %d with %q", what, err, kind, words)
	}
}

func groupNames(gs []*identity.ThingGroup) (out []string) {
	for _, g := range gs {
		out = append(out, g.Name)
	}
	return out
}

func TestThingGroups(t *testing.T) {
	h, ctx := open(t), context.Background()
	h.group("fleet", "")
	h.group("east", "fleet")
	h.group("tokyo", "east")
	h.group("other", "")
	h.thing("a")
	h.thing("b")
	in := func(thing string, groups ...string) error { return h.Regroup(ctx, thing, groups, nil) }

	// 1. What is refused.
	_, err := h.CreateThingGroup(ctx, identity.ThingGroup{Name: "east", Parent: "other"}, nil)
	h.refused("another parent", err, strait.Exists, "already exists in current account with different properties")
	_, err = h.CreateThingGroup(ctx, identity.ThingGroup{Name: "x", Parent: "none"}, nil)
	h.refused("no parent", err, strait.Invalid, "none")
	_, err = h.CreateThingGroup(ctx, identity.ThingGroup{Name: "a/b"}, nil)
	h.refused("a slash", err, strait.Invalid, "thingGroupName")
	h.refused("a parent deleted", h.DeleteThingGroup(ctx, "east", func(*identity.ThingGroup) error { return nil }), strait.Invalid,
		"Cannot delete thing group : east when there are still child groups attached to it.")
	h.refused("no thing", in("none", "east"), strait.NotFound, "none")
	h.refused("no group", in("a", "none"), strait.NotFound, "none")
	if err := in("a", "tokyo", "other"); err != nil {
		t.Fatal(err)
	}
	h.refused("two of one hierarchy", in("a", "fleet"), strait.Invalid, "same hierarchy")
	if err := h.Regroup(ctx, "a", []string{"fleet"}, []string{"tokyo"}); err != nil {
		t.Errorf("from one of a hierarchy to another in one step: %v", err)
	}
	if err := h.Regroup(ctx, "a", []string{"tokyo"}, []string{"fleet"}); err != nil {
		t.Error(err)
	}
	above := "fleet"
	for i := range 6 {
		name := fmt.Sprint("deep", i)
		h.group(name, above)
		above = name
	}
	_, err = h.CreateThingGroup(ctx, identity.ThingGroup{Name: "deeper", Parent: above}, nil)
	h.refused("an eighth floor", err, strait.Invalid, "7 groups deep")
	for i := range 9 {
		h.group(fmt.Sprint("many", i), "")
		if err := in("b", fmt.Sprint("many", i)); err != nil {
			t.Fatal(err)
		}
	}
	h.group("tenth", "")
	if err := in("b", "tenth"); err != nil {
		t.Fatal(err)
	}
	h.group("eleventh", "")
	h.refused("an eleventh group", in("b", "eleventh"), strait.Invalid, "10 thing groups")
	for i := range 98 {
		h.group(fmt.Sprint("child", i), "other")
	}
	h.group("child98", "other")
	h.group("child99", "other")
	_, err = h.CreateThingGroup(ctx, identity.ThingGroup{Name: "child100", Parent: "other"}, nil)
	h.refused("a hundred and first child", err, strait.Invalid, "100 child groups")

	// 2. What is there, also after a restart.
	for _, when := range []string{"before", "after"} {
		a, err := h.Thing("a")
		if err != nil {
			t.Fatal(err)
		}
		if got := groupNames(h.GroupsOf(a)); !slices.Equal(got, []string{"other", "tokyo"}) {
			t.Errorf("%s a restart: groups of a: %v", when, got)
		}
		tokyo, err := h.ThingGroup("tokyo")
		if err != nil {
			t.Fatal(err)
		}
		if got := groupNames(h.Lineage(tokyo)); !slices.Equal(got, []string{"tokyo", "east", "fleet"}) {
			t.Errorf("%s a restart: the lineage of tokyo: %v", when, got)
		}
		for _, x := range []struct {
			group     string
			recursive bool
			want      []string
		}{{"fleet", false, nil}, {"fleet", true, []string{"a"}}, {"tokyo", false, []string{"a"}}} {
			if got, err := h.ThingsIn(x.group, x.recursive); err != nil || !slices.Equal(got, x.want) {
				t.Errorf("%s a restart: things in %s (%v): %v, %v", when, x.group, x.recursive, got, err)
			}
		}
		if gs, err := h.ThingGroups("fleet", "", false); err != nil || !slices.Equal(groupNames(gs), []string{"deep0", "east"}) {
			t.Errorf("%s a restart: children of fleet: %v, %v", when, groupNames(gs), err)
		}
		h.restart()
	}

	// 3. A group that is made again is another one.
	if err := h.DeleteThingGroup(ctx, "tokyo", func(*identity.ThingGroup) error { return nil }); err != nil {
		t.Fatal(err)
	}
	h.group("tokyo", "east")
	if got, err := h.ThingsIn("tokyo", true); err != nil || len(got) != 0 {
		t.Errorf("a group made again has the things of the old one: %v, %v", got, err)
	}
	if err := in("a", "east"); err != nil {
		t.Errorf("a deleted group still bars the hierarchy: %v", err)
	}
}

func TestThingTypes(t *testing.T) {
	h, ctx := open(t), context.Background()
	if _, err := h.CreateThingType(ctx, identity.ThingType{Name: "bulb", Searchable: []string{"watt"}}, []identity.Tag{{Key: "team", Value: "a"}}); err != nil {
		t.Fatal(err)
	}
	_, err := h.CreateThingType(ctx, identity.ThingType{Name: "bulb"}, nil)
	h.refused("other properties", err, strait.Exists, "different properties")
	many := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
	_, err = h.CreateThing(ctx, identity.Thing{Name: "plain", Attributes: many})
	h.refused("a fourth attribute without a type", err, strait.Invalid, "at most 3")
	_, err = h.CreateThing(ctx, identity.Thing{Name: "plain", Type: "none"})
	h.refused("a type that is not there", err, strait.NotFound, "none")
	if _, err = h.CreateThing(ctx, identity.Thing{Name: "lamp", Type: "bulb", Attributes: many}); err != nil {
		t.Fatal(err)
	}
	h.refused("a type in use", h.DeleteThingType(ctx, "bulb"), strait.Invalid, "not deprecated")
	if err := h.DeprecateThingType(ctx, "bulb", false); err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.refused("a type in use", h.DeleteThingType(ctx, "bulb"), strait.Invalid, "still associated")
	_, err = h.CreateThing(ctx, identity.Thing{Name: "new", Type: "bulb"})
	h.refused("a deprecated type", err, strait.Invalid, "deprecated")
	if err := h.ChangeThing(ctx, "lamp", func(t *identity.Thing) error { t.Attributes["e"] = "5"; return nil }); err != nil {
		t.Errorf("a thing of a deprecated type changes: %v", err)
	}
	if err := h.DeleteThing(ctx, "lamp", nil); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteThingType(ctx, "bulb"); err != nil {
		t.Error(err)
	}
	if tags := h.IoTTags(place.IoT("thingtype/bulb")); len(tags) != 0 {
		t.Errorf("tags of a deleted type: %v", tags)
	}
}

func TestIoTTags(t *testing.T) {
	h, ctx := open(t), context.Background()
	arn := h.group("g", "").ARN(place)
	for _, bad := range [][]identity.Tag{
		{{Key: "", Value: "x"}}, {{Key: strings.Repeat("k", 129)}}, {{Key: "k", Value: strings.Repeat("v", 257)}}, {{Key: "aws:x"}}, {{Key: "a<"}}, {{Key: "a"}, {Key: "a"}},
	} {
		h.refused(fmt.Sprint(bad), h.TagIoT(ctx, arn, bad), strait.Invalid, "")
	}
	var many []identity.Tag
	for i := range 51 {
		many = append(many, identity.Tag{Key: fmt.Sprint(i)})
	}
	h.refused("51 tags", h.TagIoT(ctx, arn, many), strait.Limit, "50")
	if err := h.TagIoT(ctx, arn, []identity.Tag{{Key: "Team", Value: "a"}, {Key: "team", Value: "b"}}); err != nil {
		t.Fatal(err)
	}
	h.restart()
	if err := h.UntagIoT(ctx, arn, []string{"Team", "none"}); err != nil {
		t.Fatal(err)
	}
	if got := h.IoTTags(arn); len(got) != 1 || got["team"] != "b" {
		t.Errorf("tags: %v", got)
	}
}
