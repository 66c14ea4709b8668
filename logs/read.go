package logs

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"strait"
)

// A Query says which lines of a group are wanted.
type Query struct {
	Group        string
	Streams      []string // nil: all
	StreamPrefix string
	From, To     time.Time // To is not included; zero: no bound
	Pattern      string    // of AWS's filter patterns, its words
	// After and Before bound the lines by their places; zero: no bound.
	After, Before Place
	Limit         int  // 0: no limit
	Last          bool // the last Limit lines rather than the first
}

// A Place is where a line stands among those of its group: by its time, then
// by its number.
type Place struct {
	Time int64 // ms
	Seq  uint64
}

// Place returns where ev stands.
func (ev *Event) Place() Place { return Place{ev.Time.UnixMilli(), ev.Seq} }

// String writes p as a token, ReadPlace reads it.
func (p Place) String() string { return fmt.Sprintf("%020d%020d", p.Time, p.Seq) }

// ReadPlace reads what String wrote.
func ReadPlace(s string) (Place, error) {
	bad := strait.Errorf(strait.Invalid, "token", "The specified nextToken is invalid.")
	if len(s) != 40 {
		return Place{}, bad
	}
	t, err1 := strconv.ParseInt(s[:20], 10, 64)
	n, err2 := strconv.ParseUint(s[20:], 10, 64)
	p := Place{t, n}
	if err1 != nil || err2 != nil || p.String() != s {
		return Place{}, bad
	}
	return p, nil
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Seq, q.Seq))
}

// Find returns lines in the order of their times, and whether there are more.
func (e *Engine) Find(q Query) (found []Event, more bool, err error) {
	match, err := pattern(q.Pattern)
	if err != nil {
		return nil, false, err
	}
	g, err := e.group(q.Group)
	if err != nil {
		return nil, false, err
	}
	g.mu.Lock()
	var files []*os.File
	var from []io.Reader
	if err = g.load(); err == nil {
		files, from, err = g.snapshot()
	}
	known, retention := map[string]bool{}, g.Retention
	for name := range g.streams {
		known[name] = len(q.Streams) == 0 && strings.HasPrefix(name, q.StreamPrefix)
	}
	g.mu.Unlock()
	if err != nil {
		return nil, false, err
	}
	defer closeAll(files)
	for _, s := range q.Streams {
		if _, ok := known[s]; !ok {
			return nil, false, noStream()
		}
		known[s] = true
	}
	if retention > 0 {
		if kept := e.cfg.Now().AddDate(0, 0, -retention); q.From.Before(kept) {
			q.From = kept
		}
	}
	for _, f := range from {
		err := scanIn(f, func(r record) {
			if r.Gone {
				found = slices.DeleteFunc(found, func(ev Event) bool { return ev.Stream == r.Stream })
				return
			}
			if r.Message == "" || !known[r.Stream] || !q.within(r) || !match(r.Message) {
				return
			}
			found = append(found, Event{Seq: r.Seq, Stream: r.Stream, Time: time.UnixMilli(r.Time), Ingested: time.UnixMilli(r.In), Message: r.Message})
		})
		if err != nil {
			return nil, false, err
		}
	}
	slices.SortStableFunc(found, func(a, b Event) int { return a.Place().compare(b.Place()) })
	if q.Limit <= 0 || len(found) <= q.Limit {
		return found, false, nil
	}
	if q.Last {
		return found[len(found)-q.Limit:], true, nil
	}
	return found[:q.Limit], true, nil
}

func (q *Query) within(r record) bool {
	p := Place{r.Time, r.Seq}
	return (q.From.IsZero() || r.Time >= q.From.UnixMilli()) && (q.To.IsZero() || r.Time < q.To.UnixMilli()) &&
		(q.After == Place{} || p.compare(q.After) > 0) && (q.Before == Place{} || p.compare(q.Before) < 0)
}
