package authz

import (
	"container/list"
	"crypto/rand"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strait"
	"strait/identity"
	"strait/policy"
)

// A Record is a decision that was taken, or something that happened in a
// trace where none was taken (no rule matched, a function failed).
type Record struct {
	ID        string        `json:"id"`
	Time      time.Time     `json:"time"`
	Trace     string        `json:"trace"`
	Parent    string        `json:"parent,omitempty"` // the trace it grew out of: a message's connection, a connection's AssumeRole
	Thing     string        `json:"thing,omitempty"`  // the device that the trace began with, where known
	Operation string        `json:"operation,omitempty"`
	Principal strait.ARN    `json:"principal,omitempty"`
	KeyID     string        `json:"accessKeyId,omitempty"`
	Source    string        `json:"source,omitempty"` // peer address
	Action    strait.Action `json:"action,omitempty"`
	Resource  strait.ARN    `json:"resource,omitempty"`
	Effect    string        `json:"effect,omitempty"`   // allow, implicit deny, explicit deny; "" for an event
	Layer     string        `json:"layer,omitempty"`    // who decided; of an event: "certificate", "topic rule", "function"
	Document  string        `json:"document,omitempty"` // of an event: the name of that certificate, rule or function
	Refused   []string      `json:"refused,omitempty"`
	Because   string        `json:"because,omitempty"`
	Event     string        `json:"event,omitempty"`  // what happened, when no decision was taken
	Broken    bool          `json:"broken,omitempty"` // the chain ends here
	Count     int           `json:"count"`            // how often it was repeated within its second

	Set      policy.Set      `json:"-"`
	Request  policy.Request  `json:"-"`
	Decision policy.Decision `json:"-"`

	number uint64 // in the order of recording
	told   *Told  // of a record that was read back: what was kept of it
}

// kept is how many records a Recorder holds; older ones are dropped. share is
// how many of them may come from one source.
const (
	kept  = 8192
	share = kept / 8
)

// A Recorder keeps the latest decisions in memory. Nobody can push out what
// others need to read by asking often: what repeats within a second is counted
// in the record that is there, and a source that has its share of records
// drops its own oldest for the next. The source of a record is who began its
// trace, so that what a device sets off is on the device's account.
type Recorder struct {
	now     func() time.Time
	allowed atomic.Uint64    // allowed checks that were only counted
	decided [3]atomic.Uint64 // the others, by policy.Effect
	used    uses             // samples of them

	mu      sync.Mutex
	all     list.List             // of *entry, oldest first
	sources map[string]*list.List // of *list.Element in all, oldest first
	traces  map[string]*origin
	number  uint64
	first   uint64 // the number of the last record that was read back, not taken here
	born    string // tells this recorder from others
	second  int64
	seen    map[repeat]*entry
	answers map[refused]answered
	wake    chan struct{} // closed when a record comes; nil while nobody waits
	done    chan struct{} // closed when nobody shall wait any more
	ended   sync.Once
}

// Decisions tells how many decisions there were since the start, by their
// outcome ("allow", "explicit deny", "implicit deny").
func (r *Recorder) Decisions(tell func(n uint64, effect string)) {
	for _, e := range []policy.Effect{policy.Allow, policy.ExplicitDeny, policy.ImplicitDeny} {
		n := r.decided[e].Load()
		if e == policy.Allow {
			n += r.allowed.Load()
		}
		tell(n, e.String())
	}
}

// An entry is a record in its place.
type entry struct {
	rec    *Record
	source string
	gone   bool
	more   int // how often it was repeated since it was read last
}

// read returns the record as it is now. Readers may hold an older one, which
// is not changed.
func (e *entry) read() *Record {
	if e.more > 0 {
		again := *e.rec
		again.Count += e.more
		e.rec, e.more = &again, 0
	}
	return e.rec
}

// An origin is the source of a trace, while records of it are kept.
type origin struct {
	source  string
	records int
	broken  bool // a link of it is known to be broken
}

// repeat is what makes two records the same within a second.
type repeat struct {
	trace, action, resource, principal, layer, event string
	effect                                           policy.Effect
}

// NewRecorder returns an empty recorder.
func NewRecorder(now func() time.Time) *Recorder {
	return &Recorder{
		now: now, sources: map[string]*list.List{}, traces: map[string]*origin{}, seen: map[repeat]*entry{}, answers: map[refused]answered{},
		done: make(chan struct{}), born: NewTrace()[:8], used: uses{seed: maphash.MakeSeed()},
	}
}

// NewTrace makes the id of a trace.
func NewTrace() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// decision records d and returns the record's id.
func (r *Recorder) decision(c *identity.Caller, parent, operation string, ask Ask, set policy.Set, q policy.Request, d policy.Decision) string {
	r.decided[d.Effect].Add(1)
	r.used.note(c, ask.Action, ask.Resource, !d.Allowed(), r.now())
	return r.add(newRecord(c, parent, operation, ask, set, q, d),
		repeat{c.Trace, string(ask.Action), string(ask.Resource), string(c.ARN), string(d.Layer), operation, d.Effect})
}

func newRecord(c *identity.Caller, parent, operation string, ask Ask, set policy.Set, q policy.Request, d policy.Decision) *Record {
	// What was probed or asked per item and refused is no broken link by itself.
	broken := !d.Allowed() && (ask.Mode == Required || ask.Mode == Answered)
	rec := &Record{
		Trace: c.Trace, Parent: parent, Thing: thingOf(c), Operation: operation, Principal: c.ARN, KeyID: c.KeyID,
		Action: ask.Action, Resource: ask.Resource, Effect: d.Effect.String(), Layer: string(d.Layer), Broken: broken,
		Set: set, Request: q, Decision: d,
	}
	if c.IP.IsValid() {
		rec.Source = c.IP.String()
	}
	if !d.Allowed() {
		rec.Because = d.Because(q)
		for _, l := range d.Refused {
			rec.Refused = append(rec.Refused, string(l))
		}
	}
	return rec
}

// Event records that something happened in a trace for which no decision was
// taken; broken says that the chain ends here.
func (r *Recorder) Event(trace, thing, operation, what string, broken bool) {
	r.Note(Record{Trace: trace, Thing: thing, Operation: operation, Event: what, Broken: broken})
}

// Note is Event with all that is known of it. What comes after a broken link
// of the same trace is its consequence, and is not recorded as one more: the
// refusal is to be found, not the failures that it led to.
func (r *Recorder) Note(e Record) {
	r.add(&e, repeat{trace: e.Trace, layer: e.Layer, event: e.Operation + e.Event})
}

// thingOf is the device behind a caller: the thing that a connection is, its
// client id where there is none, or the name of the session that was minted for it.
func thingOf(c *identity.Caller) string {
	switch {
	case c.Thing != "":
		return c.Thing
	case c.ClientID != "":
		return c.ClientID
	case c.Session != nil:
		return c.Session.Name
	}
	return ""
}

func (r *Recorder) add(rec *Record, key repeat) string {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := now.Unix(); s != r.second || len(r.seen) >= kept {
		r.second = s
		clear(r.seen)
		clear(r.answers)
	}
	if e := r.seen[key]; e != nil && !e.gone {
		e.more++
		return e.rec.ID
	}
	r.number++
	rec.Time, rec.Count, rec.number = now.UTC(), 1, r.number
	if o := r.traces[rec.Trace]; o != nil && o.broken && rec.Event != "" {
		rec.Broken = false
	}
	rec.ID = "d" + strconv.FormatUint(r.number, 36) + "-" + NewTrace()[:6]
	e := &entry{rec: rec, source: r.sourceOf(rec)}
	r.makeRoom(e.source)
	r.keep(e)
	r.seen[key] = e
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
	return rec.ID
}

// sourceOf says on whose account a record is. What strangers cause, whose
// names prove nothing, is on one account together.
func (r *Recorder) sourceOf(rec *Record) string {
	if o := r.traces[rec.Trace]; o != nil && rec.Trace != "" {
		return o.source
	}
	return string(rec.Principal)
}

// makeRoom drops the oldest record of a source that has its share, or the
// oldest of all.
func (r *Recorder) makeRoom(source string) {
	if own := r.sources[source]; own != nil && own.Len() >= share {
		r.drop(own.Front().Value.(*list.Element))
	}
	if r.all.Len() >= kept {
		r.drop(r.all.Front())
	}
}

func (r *Recorder) keep(e *entry) {
	own := r.sources[e.source]
	if own == nil {
		own = list.New()
		r.sources[e.source] = own
	}
	own.PushBack(r.all.PushBack(e))
	if t := e.rec.Trace; t != "" {
		if r.traces[t] == nil {
			r.traces[t] = &origin{source: e.source}
		}
		r.traces[t].records++
		// A message that one of its receivers may not have goes on to the others.
		if e.rec.Broken && e.rec.Action != "iot:Receive" {
			r.traces[t].broken = true
		}
	}
}

// drop forgets a record, which is the oldest of its source.
func (r *Recorder) drop(el *list.Element) {
	e := r.all.Remove(el).(*entry)
	e.gone = true
	own := r.sources[e.source]
	own.Remove(own.Front())
	if own.Len() == 0 {
		delete(r.sources, e.source)
	}
	if o := r.traces[e.rec.Trace]; o != nil {
		if o.records--; o.records == 0 {
			delete(r.traces, e.rec.Trace)
		}
	}
}

// Get returns the record with that id, or nil.
func (r *Recorder) Get(id string) *Record {
	for _, rec := range r.Records() {
		if rec.ID == id {
			return rec
		}
	}
	return nil
}

// Records returns what is kept, oldest first.
func (r *Recorder) Records() []*Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Record, 0, r.all.Len())
	for el := r.all.Front(); el != nil; el = el.Next() {
		out = append(out, el.Value.(*entry).read())
	}
	return out
}

// Since returns what was recorded after the moment that token names, oldest
// first, and the token of now; "" names the beginning. A token of another
// recorder (before a restart) names the moment when this one began.
func (r *Recorder) Since(token string) (out []*Record, next string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := uint64(0)
	if born, number, ok := strings.Cut(token, "."); ok {
		from = r.first
		if n, err := strconv.ParseUint(number, 36, 64); err == nil && born == r.born {
			from = n
		}
	}
	for el := r.all.Back(); el != nil && el.Value.(*entry).rec.number > from; el = el.Prev() {
		out = append(out, el.Value.(*entry).read())
	}
	slices.Reverse(out)
	return out, r.born + "." + strconv.FormatUint(r.number, 36)
}

// Wait returns a channel that is closed when the next record comes.
func (r *Recorder) Wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return r.wake
}

// End tells those who wait for records to stop waiting, for the server closes.
// Recording goes on.
func (r *Recorder) End() { r.ended.Do(func() { close(r.done) }) }

// Done is closed by End.
func (r *Recorder) Done() <-chan struct{} { return r.done }

// Trace returns the records of one trace, oldest first.
func (r *Recorder) Trace(id string) []*Record {
	var out []*Record
	for _, rec := range r.Records() {
		if rec.Trace == id {
			out = append(out, rec)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Time.Before(out[j].Time) })
	return out
}
