package broker

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"strait"
)

// A group is the members of one shared subscription "$share/NAME/FILTER"; every
// pair of name and filter is a group of its own. Each message goes to one
// member, picked at random: AWS does so for MQTT 3.1.1 clients, too.
//
// What was queued for a member stays its own: a clean session that ends takes
// what it has not acknowledged with it.
type group struct {
	name    string
	members atomic.Pointer[[]subscriber] // replaced, never changed
}

// Limits of AWS IoT Core ("AWS IoT Core endpoints and quotas").
const (
	sharePrefix     = "$share/"
	maxShareGroups  = 100
	maxShareMembers = 100
)

// pick chooses who gets a message: one who is connected, else, for QoS 1, one
// whose persistent session keeps it. QoS 0 is lost when nobody is connected.
func (g *group) pick(qos byte) (s subscriber, ok bool) {
	members := *g.members.Load()
	first := rand.IntN(len(members))
	for i := range members {
		m := members[(first+i)%len(members)]
		if m.box.online.Load() {
			return m, true
		}
		if !ok && qos > 0 && m.options.qos() > 0 && m.box.persistent {
			s, ok = m, true
		}
	}
	return s, ok
}

// cutShare splits a valid "$share/NAME/FILTER".
func cutShare(filter string) (name, inner string, ok bool) {
	rest, ok := strings.CutPrefix(filter, sharePrefix)
	if !ok {
		return "", filter, false
	}
	name, inner, _ = strings.Cut(rest, "/")
	return name, inner, true
}

// join makes s a member of a group, or changes its QoS; mu is held.
func (t *tree) join(name, filter string, s subscriber) error {
	list := t.root.list(filter)
	for _, it := range *list {
		g := it.group
		if g == nil || g.name != name {
			continue
		}
		members := slices.DeleteFunc(slices.Clone(*g.members.Load()), func(m subscriber) bool { return m.box == s.box })
		if len(members) >= maxShareMembers {
			return strait.Errorf(strait.Limit, "shared subscriptions", "a shared subscription may have %d members", maxShareMembers)
		}
		members = append(members, s)
		g.members.Store(&members)
		return nil
	}
	if t.groups >= maxShareGroups {
		t.root.remove(filter, func(subscriber) bool { return false }) // the branch that list made
		return strait.Errorf(strait.Limit, "shared subscriptions", "there may be %d shared subscriptions", maxShareGroups)
	}
	g := &group{name: name}
	g.members.Store(&[]subscriber{s})
	t.groups++
	*list = append(*list, subscriber{group: g})
	t.invalidate(filter)
	return nil
}

// leave ends a membership, and the group with its last member; mu is held.
func (t *tree) leave(name, filter string, box *mailbox) {
	for _, it := range *t.root.list(filter) {
		g := it.group
		if g == nil || g.name != name {
			continue
		}
		members := slices.DeleteFunc(slices.Clone(*g.members.Load()), func(m subscriber) bool { return m.box == box })
		if len(members) > 0 {
			g.members.Store(&members)
			return
		}
		// Its last member stays in it, for publishers who hold it still.
		t.groups--
		t.root.remove(filter, func(s subscriber) bool { return s.group == g })
		t.invalidate(filter)
		return
	}
}
