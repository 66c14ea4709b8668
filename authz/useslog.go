package authz

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strait"
	"strait/policy"
)

// This file keeps samples of what everyone needed on disk, beside the decision
// log: a file of JSON lines to which new ones are added once a second, written
// anew when it has grown to twice its size, and at the end. A crash costs the
// samples of its last second, and the times of the last hour.

// A keptUse is one line of it.
type keptUse struct {
	Who       string           `json:"who"`
	Principal strait.Principal `json:"principal"`
	Use
}

const (
	usesName    = "uses.jsonl"
	maxPending  = 4096    // samples that wait to be written
	usesSlack   = 4 << 20 // bytes that the file may grow before it is written anew
	rememberUse = time.Hour
)

// A usesLog is that file.
type usesLog struct {
	path   string
	file   *os.File
	size   int64
	anew   int64 // the size at which it is written anew
	broken bool  // what is in it is not known: the next write is a new file
}

// openUses gives the samples that were kept back to u.
func openUses(dir string, u *uses) (*usesLog, error) {
	l := &usesLog{path: filepath.Join(dir, usesName)}
	if b, err := os.ReadFile(l.path); err == nil {
		in := bufio.NewScanner(bytes.NewReader(b))
		in.Buffer(nil, maxLine)
		for in.Scan() {
			var k keptUse
			if json.Unmarshal(in.Bytes(), &k) == nil && k.Who != "" { // one that a crash cut off is passed over
				u.restore(k)
			}
		}
	} else if !os.IsNotExist(err) {
		return nil, fmt.Errorf("open the samples of what was needed: %w", err)
	}
	u.mu.Lock()
	u.logged = true
	u.mu.Unlock()
	if err := l.rewrite(u); err != nil {
		return nil, fmt.Errorf("open the samples of what was needed: %w", err)
	}
	return l, nil
}

// flush writes what is new.
func (l *usesLog) flush(u *uses) error {
	pending, overflow := u.drain()
	if overflow || l.broken || l.size > l.anew {
		return l.rewrite(u)
	}
	if len(pending) == 0 {
		return nil
	}
	b := encodeUses(pending)
	n, err := l.file.Write(b)
	l.size += int64(n)
	l.broken = err != nil
	return err
}

// rewrite writes all that is remembered into a new file, and takes that.
func (l *usesLog) rewrite(u *uses) error {
	b := encodeUses(u.all())
	l.broken = true
	f, err := os.OpenFile(l.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = os.Rename(l.path+".new", l.path)
	}
	if err != nil {
		f.Close()
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.size, l.anew, l.broken = f, int64(len(b)), 2*int64(len(b))+usesSlack, false
	return nil
}

func (l *usesLog) close(u *uses) error {
	err := l.rewrite(u)
	if e := l.file.Close(); err == nil {
		err = e
	}
	return err
}

func encodeUses(list []keptUse) []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	for i := range list {
		if err := out.Encode(&list[i]); err != nil {
			continue // strings and times only: it cannot be
		}
	}
	return b.Bytes()
}

// keep marks a sample to be written; u.mu is held.
func (u *uses) keep(who string, one *Use, now time.Time) {
	if !u.logged || !one.kept.IsZero() && now.Sub(one.kept) < rememberUse {
		return
	}
	one.kept = now
	if len(u.pending) >= maxPending {
		u.overflow = true
		return
	}
	u.pending = append(u.pending, keptUse{who, one.request.Principal, *one})
}

func (u *uses) drain() (pending []keptUse, overflow bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	pending, overflow = u.pending, u.overflow
	u.pending, u.overflow = nil, false
	return pending, overflow
}

// all returns every sample, those of who was seen last at the end.
func (u *uses) all() (out []keptUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for el := u.order.Front(); el != nil; el = el.Next() {
		one := el.Value.(*user)
		for _, use := range one.what {
			out = append(out, keptUse{one.who, use.request.Principal, *use})
		}
	}
	return out
}

// restore takes back a sample that was kept.
func (u *uses) restore(k keptUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k.request = policy.Request{Principal: k.Principal, Action: k.Action, Resource: k.Resource}
	k.kept = k.Last
	u.add(k.Who, k.Use)
}
