package rule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"strait"
	"strait/state"
)

const rulePrefix = "rule/def/"

// A catalog is every rule at one moment. It is never changed, only replaced,
// so that matching takes no lock.
type catalog struct {
	byName map[string]*definition
	topics *node
}

// A definition is a rule made ready to run.
type definition struct {
	rule Rule
	*program
	broken error // why a stored rule cannot be run, such as one of a newer version
}

// known is what the engine last learned of a name; def is nil once deleted.
type known struct {
	revision state.Revision
	def      *definition
}

// Create adds r. It fails with Invalid ("sql", "rule name", "action", "rule"),
// TooLarge "rule", Exists "rule" or Limit "rules".
func (e *Engine) Create(ctx context.Context, r Rule) error {
	r = r.clone()
	made, err := e.check(&r)
	if err != nil {
		return err
	}
	e.change.Lock()
	defer e.change.Unlock()
	if n, known := e.count(r.Name); n >= e.cfg.MaxRules && !known {
		return strait.Errorf(strait.Limit, "rules", "there are already %d rules", n)
	}
	r.Created = e.cfg.Now().UTC()
	err = e.store(ctx, r, made, state.Absent())
	if errors.Is(err, state.ErrConflict) {
		return strait.Errorf(strait.Exists, "rule", "there is already a rule called %s", r.Name)
	}
	return err
}

// Judge refuses what Create and Replace refuse of a rule, and makes nothing.
func (e *Engine) Judge(r Rule) error {
	r = r.clone()
	_, err := e.check(&r)
	return err
}

// check is Rule.check, and refuses what nobody here would carry out.
func (e *Engine) check(r *Rule) (*program, error) {
	made, err := r.check(e.cfg.Place)
	if err != nil {
		return nil, err
	}
	all := made.actions
	if made.onError != nil {
		all = append(all[:len(all):len(all)], *made.onError)
	}
	for _, p := range all {
		if p.action.HTTP != nil && e.cfg.Poster == nil || p.action.Lambda == nil && e.cfg.Actor == nil {
			return nil, invalidAction("the %s is not offered here yet", p.action.Kind())
		}
	}
	for _, want := range made.wants {
		if e.cfg.Asker == nil || !e.cfg.Asker.Offers(want) {
			name, what, _ := strings.Cut(want, " ")
			return nil, strait.Errorf(strait.Invalid, "sql", "the function %s(%s) is not offered here yet", name, what)
		}
	}
	return made, nil
}

// Replace puts r in the place of the rule of the same name, all of it but
// Created. It fails as Create does, with NotFound "rule" for Exists.
func (e *Engine) Replace(ctx context.Context, r Rule) error {
	r = r.clone()
	made, err := e.check(&r)
	if err != nil {
		return err
	}
	return e.update(ctx, r.Name, func(old *definition) (Rule, *program) {
		r.Created = old.rule.Created
		return r, made
	})
}

// Enable lets the rule run again; NotFound "rule" when there is none.
func (e *Engine) Enable(ctx context.Context, name string) error {
	return e.setDisabled(ctx, name, false)
}

// Disable stops the rule for messages that come from now on; runs that were
// accepted before are still carried out. NotFound "rule" when there is none.
func (e *Engine) Disable(ctx context.Context, name string) error {
	return e.setDisabled(ctx, name, true)
}

func (e *Engine) setDisabled(ctx context.Context, name string, disabled bool) error {
	return e.update(ctx, name, func(old *definition) (Rule, *program) {
		r := old.rule
		r.Disabled = disabled
		return r, old.program
	})
}

// Delete removes the rule, and its runs that are not handed over yet are
// dropped. NotFound "rule" when there is none.
func (e *Engine) Delete(ctx context.Context, name string) error {
	e.change.Lock()
	defer e.change.Unlock()
	if _, err := e.find(name); err != nil {
		return err
	}
	rev, err := e.cfg.Store.Apply(ctx, state.Write{Key: rulePrefix + name, Delete: true, Expect: state.Present()})
	if errors.Is(err, state.ErrConflict) {
		return noRule(name)
	}
	if err != nil {
		return storeError(err)
	}
	e.learn(name, rev, nil)
	return nil
}

// Get returns the rule called name, or NotFound "rule".
func (e *Engine) Get(name string) (Rule, error) {
	d, err := e.find(name)
	if err != nil {
		return Rule{}, err
	}
	return d.rule.clone(), nil
}

// List returns every rule, sorted by name.
func (e *Engine) List() []Rule {
	defs := e.current().byName
	out := make([]Rule, 0, len(defs))
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		out = append(out, defs[name].rule.clone())
	}
	return out
}

// Matching returns the rules that a message on topic would come to, disabled
// ones too, sorted by name. WHERE is not asked.
func (e *Engine) Matching(topic string) []Rule {
	var out []Rule
	defs, _, _ := e.current().match(topic)
	for _, d := range defs {
		out = append(out, d.rule.clone())
	}
	slices.SortFunc(out, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// match returns the rules for topic and the topic as they see it. By Basic
// Ingest, "$aws/rules/NAME/rest" is for the rule NAME only, whatever its FROM,
// and the rule sees "rest"; name is then NAME, also when there is no such rule.
func (c *catalog) match(topic string) (defs []*definition, seen, name string) {
	rest, basic := strings.CutPrefix(topic, "$aws/rules/")
	if !basic {
		return c.topics.match(topic, nil), topic, ""
	}
	name, rest, _ = strings.Cut(rest, "/")
	if d := c.byName[name]; d != nil {
		defs = []*definition{d}
	}
	return defs, rest, name
}

func (e *Engine) find(name string) (*definition, error) {
	e.learning.Lock()
	defer e.learning.Unlock()
	if d := e.known[name].def; d != nil {
		return d, nil
	}
	return nil, noRule(name)
}

// count tells how many rules there are, and whether name is one of them.
func (e *Engine) count(name string) (n int, known bool) {
	e.learning.Lock()
	defer e.learning.Unlock()
	return e.alive, e.known[name].def != nil
}

func (e *Engine) revisionOf(name string) state.Revision {
	e.learning.Lock()
	defer e.learning.Unlock()
	return e.known[name].revision
}

func noRule(name string) error {
	return strait.Errorf(strait.NotFound, "rule", "there is no rule called %q", name)
}

// update stores what alter makes of the rule called name.
func (e *Engine) update(ctx context.Context, name string, alter func(*definition) (Rule, *program)) error {
	e.change.Lock()
	defer e.change.Unlock()
	old, err := e.find(name)
	if err != nil {
		return err
	}
	r, made := alter(old)
	if made == nil {
		return strait.Errorf(strait.Invalid, "sql", "rule %s cannot be run here; replace or delete it: %w", name, old.broken)
	}
	err = e.store(ctx, r, made, state.At(e.revisionOf(name)))
	if errors.Is(err, state.ErrConflict) {
		return strait.Errorf(strait.Conflict, "rule", "rule %s has been changed meanwhile", name)
	}
	return err
}

func (e *Engine) store(ctx context.Context, r Rule, made *program, expect state.Expect) error {
	value, err := encodeRule(r)
	if err != nil {
		return err
	}
	if len(value) > MaxRule {
		return strait.Errorf(strait.TooLarge, "rule", "a rule has at most %d bytes", MaxRule)
	}
	rev, err := e.cfg.Store.Apply(ctx, state.Write{Key: rulePrefix + r.Name, Value: value, Expect: expect})
	if err != nil {
		return storeError(err)
	}
	r.Filter = made.stmt.Filter()
	e.learn(r.Name, rev, &definition{rule: r, program: made})
	return nil
}

// stored is a rule as it lies in the store. Raw is a string there because a
// RawMessage would be compacted, and Raw is given back untouched.
type stored struct {
	Rule
	Raw string `json:",omitempty"`
}

func encodeRule(r Rule) ([]byte, error) {
	s := stored{Rule: r, Raw: string(r.Raw)}
	s.Rule.Raw = nil
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, strait.Errorf(strait.Internal, "rule", "the rule could not be written: %w", err) // cannot happen
	}
	return buf.Bytes(), nil
}

// decodeRule never fails: what cannot be run becomes a broken definition, so
// that one such rule neither stops the others nor vanishes from sight.
func decodeRule(name string, value []byte, place strait.Place) *definition {
	var s stored
	if err := json.Unmarshal(value, &s); err != nil {
		return &definition{rule: Rule{Name: name}, broken: err}
	}
	r := s.Rule
	if s.Raw != "" {
		r.Raw = json.RawMessage(s.Raw)
	}
	r.Name = name
	made, err := r.check(place)
	if err != nil {
		if stmt, err := Parse(r.SQL, r.SQLVersion); err == nil {
			r.Filter = stmt.Filter() // so that it still matches, and can be seen to fail
		}
		return &definition{rule: r, broken: err}
	}
	r.Filter = made.stmt.Filter()
	return &definition{rule: r, program: made}
}

// storeError leaves conflicts as they are and says the rest in the house's words.
func storeError(err error) error {
	var known *strait.Error
	if errors.Is(err, state.ErrConflict) || errors.As(err, &known) {
		return err
	}
	return &strait.Error{Kind: strait.Unavailable, Thing: "rule", Message: "the rules cannot be written now; try again later", Err: err}
}

// load reads every rule and returns the newest revision among them.
func (e *Engine) load(ctx context.Context) (state.Revision, error) {
	facts, err := e.cfg.Store.List(ctx, rulePrefix, "", 0)
	if err != nil {
		return 0, err
	}
	var last state.Revision
	for _, f := range facts {
		name := f.Key[len(rulePrefix):]
		d := decodeRule(name, f.Value, e.cfg.Place)
		if d.broken != nil {
			e.cfg.Log.Error("a stored rule cannot be run", "rule", name, "err", d.broken)
		}
		e.learn(name, f.Revision, d)
		last = max(last, f.Revision)
	}
	return last, nil
}

// follow learns what others change, until the engine is closed.
func (e *Engine) follow(from state.Revision) {
	for e.ctx.Err() == nil {
		for c, err := range e.cfg.Store.Watch(e.ctx, rulePrefix, from) {
			if err != nil {
				if e.ctx.Err() == nil && !errors.Is(err, state.ErrClosed) {
					e.cfg.Log.Error("the rules are not watched", "err", err)
				}
				break
			}
			from = max(from, c.Revision)
			name := c.Key[len(rulePrefix):]
			var d *definition
			if !c.Deleted {
				d = decodeRule(name, c.Value, e.cfg.Place)
			}
			e.change.Lock()
			e.learn(name, c.Revision, d)
			if c.Deleted {
				e.forgetName(name, c.Revision)
			}
			e.change.Unlock()
		}
		sleep(e.ctx, time.Second)
	}
}

// learn takes in what revision says of name, unless something newer is known.
func (e *Engine) learn(name string, revision state.Revision, d *definition) {
	e.learning.Lock()
	defer e.learning.Unlock()
	k, ok := e.known[name]
	if ok && k.revision >= revision {
		return
	}
	if k.def != nil {
		e.alive--
	}
	if d != nil {
		e.alive++
	}
	e.known[name] = known{revision, d}
	e.stale.Store(true)
}

// forgetName drops what is known of a name that was deleted at revision:
// nothing older can come any more. A later deletion is still needed, for what
// was made in between comes first.
func (e *Engine) forgetName(name string, revision state.Revision) {
	e.learning.Lock()
	defer e.learning.Unlock()
	if k := e.known[name]; k.def == nil && k.revision <= revision {
		delete(e.known, name)
	}
}

// current is the catalog, made anew if rules have changed since: that costs a
// walk over all of them, so it is done once for many changes, by the first
// message that comes then. It keeps matching free of locks.
func (e *Engine) current() *catalog {
	if e.stale.Load() {
		e.learning.Lock()
		if e.stale.Load() {
			e.rebuild()
			e.stale.Store(false)
		}
		e.learning.Unlock()
	}
	return e.rules.Load()
}

// rebuild makes the catalog. e.learning is held.
func (e *Engine) rebuild() {
	c := &catalog{byName: make(map[string]*definition, len(e.known)), topics: &node{}}
	for name, k := range e.known {
		if k.def == nil {
			continue
		}
		c.byName[name] = k.def
		if k.def.rule.Filter != "" {
			c.topics.add(k.def.rule.Filter, k.def)
		}
	}
	e.rules.Store(c)
}
