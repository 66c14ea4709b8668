package logs

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"strait"
	"strait/state"
)

// Limits. Those of names and of a batch are AWS's [PutLogEvents].
const (
	MaxGroups  = 1000
	MaxStreams = 1000      // of a group; the one that was written to longest ago goes
	MaxFile    = 4 << 20   // bytes of each of a group's two files
	MaxMessage = 256 << 10 // bytes of a line
	MaxEvents  = 10_000    // of a batch
	MaxBatch   = 1 << 20   // bytes of a batch, with 26 for each line
	perEvent   = 26
	groupKey   = "logs/g/"
	tooOld     = 14 * 24 * time.Hour
	tooNew     = 2 * time.Hour
	maxSpan    = 24 * time.Hour // of a batch
	maxTags    = 50
)

// A Group is a pile of lines.
type Group struct {
	Name      string // "/aws/lambda/create-token"
	Created   time.Time
	Retention int // days; 0 is for ever (the files are bounded all the same)
	Tags      map[string]string
	Bytes     int64 `json:"-"` // of its files
}

// A Config says what an Engine works with.
type Config struct {
	Store state.Store // keys below "logs/" are the engine's
	Dir   string      // of the files
	Now   func() time.Time
	Log   *slog.Logger // nil: nothing is logged
	// MaxFile is the most that a file of a group takes; 0 means MaxFile.
	MaxFile int64
}

// An Engine keeps groups. Its methods may be called from many goroutines.
// Failures that a caller may be told are *strait.Error with the things "log
// group", "log stream", "log events", "filter pattern", "token".
type Engine struct {
	cfg Config

	mu     sync.Mutex
	groups map[string]*group
	closed bool
}

// Open reads which groups there are.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Dir == "" {
		return nil, errors.New("open logs: Store and Dir are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxFile == 0 {
		cfg.MaxFile = MaxFile
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	e := &Engine{cfg: cfg, groups: map[string]*group{}}
	facts, err := cfg.Store.List(ctx, groupKey, "", 0)
	if err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	for _, f := range facts {
		g := &group{dir: e.dir(strings.TrimPrefix(f.Key, groupKey)), max: cfg.MaxFile}
		if err := json.Unmarshal(f.Value, &g.Group); err != nil {
			return nil, fmt.Errorf("read the fact %s: %w", f.Key, err)
		}
		e.groups[g.Name] = g
	}
	return e, e.sweep()
}

// dir is where a group's files are: names may be long and hold slashes.
func (e *Engine) dir(name string) string {
	return filepath.Join(e.cfg.Dir, fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:32])
}

// sweep removes files of groups that were deleted.
func (e *Engine) sweep() error {
	known := map[string]bool{}
	for _, g := range e.groups {
		known[filepath.Base(g.dir)] = true
	}
	entries, err := os.ReadDir(e.cfg.Dir)
	if err != nil {
		return fmt.Errorf("open logs: %w", err)
	}
	for _, d := range entries {
		if !known[d.Name()] {
			os.RemoveAll(filepath.Join(e.cfg.Dir, d.Name()))
		}
	}
	return nil
}

// Close closes the files.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	all := slices.Collect(maps.Values(e.groups))
	e.mu.Unlock()
	var errs []error
	for _, g := range all {
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}

var (
	groupName  = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	streamName = regexp.MustCompile(`^[^:*\x00-\x1f]{1,512}$`)
)

func noGroup() error {
	return strait.Errorf(strait.NotFound, "log group", "The specified log group does not exist.")
}

func (e *Engine) group(name string) (*group, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, strait.Errorf(strait.Unavailable, "log group", "the server is shutting down")
	}
	g := e.groups[name]
	if g == nil {
		return nil, noGroup()
	}
	return g, nil
}

// Create makes a group. Exists "log group".
func (e *Engine) Create(ctx context.Context, name string, tags map[string]string) error {
	if !groupName.MatchString(name) {
		return strait.Errorf(strait.Invalid, "log group", "1 validation error detected: Value at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+")
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.groups[name] != nil {
		return strait.Errorf(strait.Exists, "log group", "The specified log group already exists")
	}
	if len(e.groups) >= MaxGroups {
		return strait.Errorf(strait.Limit, "log group", "Resource limit exceeded: there are %d log groups already.", MaxGroups)
	}
	g := &group{Group: Group{Name: name, Created: e.cfg.Now().UTC(), Tags: tags}, dir: e.dir(name), max: e.cfg.MaxFile}
	if err := e.store(ctx, g.Group, state.Absent()); err != nil {
		return err
	}
	e.groups[name] = g
	return nil
}

func (e *Engine) store(ctx context.Context, g Group, expect state.Expect) error {
	data, err := json.Marshal(g)
	if err == nil {
		_, err = e.cfg.Store.Apply(ctx, state.Write{Key: groupKey + g.Name, Value: data, Expect: expect})
	}
	if err != nil {
		return fmt.Errorf("write the log group %s: %w", g.Name, err)
	}
	return nil
}

// Delete forgets a group and its lines.
func (e *Engine) Delete(ctx context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.groups[name]
	if g == nil {
		return noGroup()
	}
	if _, err := e.cfg.Store.Apply(ctx, state.Write{Key: groupKey + name, Delete: true}); err != nil {
		return fmt.Errorf("delete the log group %s: %w", name, err)
	}
	delete(e.groups, name)
	return errors.Join(g.close(), os.RemoveAll(g.dir))
}

// retentions are the days that AWS takes [PutRetentionPolicy].
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// Retain says for how many days lines are told; 0 is for ever.
func (e *Engine) Retain(ctx context.Context, name string, days int) error {
	if days != 0 && !slices.Contains(retentions, days) {
		return strait.Errorf(strait.Invalid, "log group", "1 validation error detected: Value '%d' at 'retentionInDays' is not one of the days that are offered: %v", days, retentions)
	}
	return e.change(ctx, name, func(g *Group) error { g.Retention = days; return nil })
}

// Tag lets fn change a copy of the group's tags.
func (e *Engine) Tag(ctx context.Context, name string, fn func(tags map[string]string)) error {
	return e.change(ctx, name, func(g *Group) error {
		tags := maps.Clone(g.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		fn(tags)
		g.Tags = tags
		return checkTags(tags)
	})
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return strait.Errorf(strait.Invalid, "log group", "A log group has at most %d tags.", maxTags)
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return strait.Errorf(strait.Invalid, "log group", "A tag's key has 1 to 128 characters and does not begin with aws:, its value has at most 256.")
		}
	}
	return nil
}

func (e *Engine) change(ctx context.Context, name string, fn func(*Group) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.groups[name]
	if g == nil {
		return noGroup()
	}
	g.mu.Lock()
	next := g.Group
	g.mu.Unlock()
	if err := fn(&next); err != nil {
		return err
	}
	if err := e.store(ctx, next, state.Present()); err != nil {
		return err
	}
	g.mu.Lock()
	g.Group = next
	g.mu.Unlock()
	return nil
}

// Get returns one group.
func (e *Engine) Get(name string) (Group, error) {
	g, err := e.group(name)
	if err != nil {
		return Group{}, err
	}
	return g.told()
}

// List returns the groups whose names begin with prefix and hold part, sorted.
func (e *Engine) List(prefix, part string) ([]Group, error) {
	e.mu.Lock()
	var found []*group
	for name, g := range e.groups {
		if strings.HasPrefix(name, prefix) && strings.Contains(strings.ToLower(name), strings.ToLower(part)) {
			found = append(found, g)
		}
	}
	e.mu.Unlock()
	var out []Group
	for _, g := range found {
		told, err := g.told()
		if err != nil {
			return nil, err
		}
		out = append(out, told)
	}
	slices.SortFunc(out, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Streams returns the streams of a group whose names begin with prefix, sorted by name.
func (e *Engine) Streams(name, prefix string) ([]Stream, error) {
	g, err := e.group(name)
	if err != nil {
		return nil, err
	}
	return g.list(prefix)
}

// CreateStream makes a stream. Exists "log stream".
func (e *Engine) CreateStream(name, stream string) error {
	if !streamName.MatchString(stream) {
		return strait.Errorf(strait.Invalid, "log stream", "1 validation error detected: Value at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*")
	}
	g, err := e.group(name)
	if err != nil {
		return err
	}
	return g.createStream(stream, e.cfg.Now())
}

// DeleteStream forgets a stream and its lines.
func (e *Engine) DeleteStream(name, stream string) error {
	g, err := e.group(name)
	if err != nil {
		return err
	}
	return g.deleteStream(stream)
}

// A Rejection says which lines of a batch were not kept for their age: those
// before Old and from New on; 0 and len for none.
type Rejection struct{ Old, New int }

// Put adds lines to a stream, in the order of their times. sync is for lines
// that someone relies on: then they are on disk when Put returns.
func (e *Engine) Put(name, stream string, events []Event, sync bool) (Rejection, error) {
	now := e.cfg.Now()
	r, err := check(events, now)
	if err != nil {
		return r, err
	}
	g, err := e.group(name)
	if err != nil {
		return r, err
	}
	return r, g.put(stream, events[r.Old:r.New], now, sync)
}

func check(events []Event, now time.Time) (Rejection, error) {
	if len(events) == 0 || len(events) > MaxEvents {
		return Rejection{}, strait.Errorf(strait.Invalid, "log events", "a batch has 1 to %d log events, this one has %d", MaxEvents, len(events))
	}
	size := 0
	for i, ev := range events {
		size += len(ev.Message) + perEvent
		switch {
		case ev.Message == "":
			return Rejection{}, strait.Errorf(strait.Invalid, "log events", "Log event message must not be empty.")
		case len(ev.Message) > MaxMessage:
			return Rejection{}, strait.Errorf(strait.Invalid, "log events", "Log event too large: %d bytes exceeds limit of %d", len(ev.Message), MaxMessage)
		case size > MaxBatch:
			return Rejection{}, strait.Errorf(strait.Invalid, "log events", "Upload too large: more than %d bytes, counting %d for each log event", MaxBatch, perEvent)
		case i > 0 && ev.Time.Before(events[i-1].Time):
			return Rejection{}, strait.Errorf(strait.Invalid, "log events", "Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if events[len(events)-1].Time.Sub(events[0].Time) > maxSpan {
		return Rejection{}, strait.Errorf(strait.Invalid, "log events", "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	r := Rejection{0, len(events)}
	for r.Old < r.New && now.Sub(events[r.Old].Time) > tooOld {
		r.Old++
	}
	for r.New > r.Old && events[r.New-1].Time.Sub(now) > tooNew {
		r.New--
	}
	return r, nil
}
