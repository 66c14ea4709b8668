package policy_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/policy"
)

// throws is how many generated cases a test looks at; STRAIT_CASES sets more.
func throws(n uint64) uint64 {
	if more, err := strconv.ParseUint(os.Getenv("STRAIT_CASES"), 10, 64); err == nil {
		return more
	}
	return n
}

// The compiled decision is that of the oracle, with and without reasons.
func checkOracle(t *testing.T, w throw) policy.Decision {
	d := w.set.Decide(w.request)
	effect, layer := w.layers.judge(w.request)
	if d.Effect != effect || d.Layer != layer {
		t.Fatalf("decided %s by %s, the reference says %s by %s\n%v\nreasons %+v", d.Effect, d.Layer, effect, layer, w, d.Reasons)
	}
	if w.set.Allowed(w.request) != d.Allowed() {
		t.Fatalf("Allowed is not Decide: %s\n%v", d.Effect, w)
	}
	return d
}

// asks is how many requests are put to each generated set of documents.
const asks = 12

func TestOracle(t *testing.T) {
	count := map[policy.Effect]int{}
	n := throws(9000)
	for seed := range n / asks {
		d := roll(seed, 600)
		w := d.throw(t)
		for range asks {
			count[checkOracle(t, w).Effect]++
			w.request = d.request(t)
		}
	}
	for _, e := range []policy.Effect{policy.Allow, policy.ImplicitDeny, policy.ExplicitDeny} {
		if count[e] < int(n/20) {
			t.Errorf("only %d of %d cases end in %s: the generator is too narrow", count[e], n, e)
		}
	}
	t.Logf("%d cases: %v", n, count)
}

func FuzzOracle(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(roll(seed, 300).bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &dice{b}
		w := d.throw(t)
		for range 3 {
			checkOracle(t, w)
			w.request = d.request(t)
		}
	})
}

// A Guard's check at any time is Decide's answer then; between two moments of
// which Until says that nothing changes, nothing does; and a guard made of
// changed policies follows these.
func checkGuard(t *testing.T, d *dice) {
	w := d.throw(t)
	if w.set.HasTrust && !strings.HasPrefix(strings.ToLower(string(w.request.Action)), "sts:") {
		w.set.HasTrust, w.set.Trust = false, nil // guards are of connections
	}
	if d.in(2) { // let the time decide
		timed := d.timed()
		w.set.Session, w.set.HasSession, w.set.Boundary, w.set.HasBoundary = nil, false, nil, false
		w.set.Identity = []*policy.Document{parse(t, policy.Identity, "timed", timed)}
		w.set.IoT = []*policy.Document{parse(t, policy.IoT, "timed", timed)}
	}
	at := time.Date(2026, 3, 1, 11, 59, 58, 500e6, time.UTC)
	for change := range 2 {
		g := w.set.Guard(w.request)
		last, until := false, time.Time{}
		for i := range 12 {
			r := w.request
			r.Context = policy.Context{}
			for k, v := range w.request.Context {
				r.Context[k] = v
			}
			r.Context.SetTime(at)
			want := w.set.Decide(r).Allowed()
			got := g.Check(r.Action, r.Resource, at, nil)
			if got != want {
				t.Fatalf("at %v the guard says %t, decide %t\n%v", at, got, want, w)
			}
			if i > 0 && got != last && (until.IsZero() || at.Before(until)) {
				t.Fatalf("the verdict changed at %v, before %v\n%v", at, until, w)
			}
			if other := strait.ARN(d.of(diceAsked...)); g.Check(r.Action, other, at, nil) != w.set.Allowed(policy.Request{Principal: r.Principal, Action: r.Action, Resource: other, Context: r.Context}) {
				t.Fatalf("at %v on %s the guard differs\n%v", at, other, w)
			}
			last, until = got, g.Until(at)
			at = at.Add(time.Duration(d.n(8)) * 250 * time.Millisecond)
		}
		if change == 0 {
			w.set.Identity = append(slices.Clone(w.set.Identity), parse(t, policy.Identity, "more", d.document(policy.Identity)))
			w.set.IoT = append(slices.Clone(w.set.IoT), parse(t, policy.IoT, "more", d.document(policy.IoT)))
		}
	}
}

// timed is a policy that is about nothing but the time.
func (d *dice) timed() string {
	statement := func() string {
		op := d.of("DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals")
		at := d.of("2026-03-01T12:00:00Z", "1772366401", "2026-03-01T11:59:59Z", "2026-03-01T12:00:02Z")
		return fmt.Sprintf(`{"Effect":%q,"Action":"*","Resource":"*","Condition":{%q:{%q:%q}}}`,
			d.of("Allow", "Allow", "Deny"), op, d.of("aws:CurrentTime", "aws:EpochTime"), at)
	}
	return `{"Version":"2012-10-17","Statement":[` + statement() + `,` + statement() + `]}`
}

func TestGuardFollowsTime(t *testing.T) {
	for seed := range throws(700) {
		checkGuard(t, roll(seed, 400))
	}
}

func FuzzGuard(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(roll(seed, 400).bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkGuard(t, &dice{b}) })
}

// All suggestions, applied, allow what was refused, and of everything else that
// was refused nothing but what they list: the same action on the same resource
// by the same caller (or, where a policy cannot tell these apart, its role).
func checkSuggestion(t *testing.T, d *dice) {
	w := d.throw(t)
	decision := w.set.Decide(w.request)
	if decision.Effect != policy.ImplicitDeny {
		return
	}
	e := policy.Explain(w.set, w.request, decision)
	if len(e.Suggestions) < len(decision.Refused) { // for one layer there is none
		return
	}
	after := w.set
	wide := false
	for _, sg := range e.Suggestions {
		kind, list := place(&after, sg.Layer)
		*list = append(slices.Clone(*list), parse(t, kind, "suggestion", `{"Version":"2012-10-17","Statement":[`+sg.Statement+`]}`))
		wide = wide || strings.Contains(sg.Also, "wildcards") || w.request.Resource == "*"
	}
	if !after.Allowed(w.request) {
		t.Fatalf("after all suggestions it is still refused:\n%s\n%v", e.Text(), w)
	}
	if wide {
		return // it says so
	}
	for _, action := range diceActions {
		for _, resource := range diceAsked {
			other := w.request
			other.Action, other.Resource = strait.Action(action), strait.ARN(resource)
			same := strings.EqualFold(action, string(w.request.Action)) && other.Resource == w.request.Resource
			takes := strings.HasPrefix(strings.ToLower(action), "sts:") // a trust policy has no resource
			if !same && !takes && after.Allowed(other) && !w.set.Allowed(other) {
				t.Fatalf("the suggestion also allows %s on %s:\n%s\n%v", action, resource, e.Text(), w)
			}
		}
	}
}

func TestSuggestionsAreNarrow(t *testing.T) {
	for seed := range throws(600) {
		checkSuggestion(t, roll(seed, 300))
	}
}

func FuzzSuggestion(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(roll(seed, 300).bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkSuggestion(t, &dice{b}) })
}
