package api

import (
	"fmt"
	"testing"
	"time"
)

// TestBuckets looks inside, since an account's rates are too high to be reached
// by a test's clients.
func TestBuckets(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var b bucket
	for i := range 100 {
		if !b.take(100, now) {
			t.Fatalf("number %d of 100 in the first second is refused", i+1)
		}
	}
	if b.take(100, now) {
		t.Error("number 101 is admitted")
	}
	now = now.Add(100 * time.Millisecond)
	for i := range 10 {
		if !b.take(100, now) {
			t.Errorf("a tenth of a second later, number %d is refused", i+1)
		}
	}
	if b.take(100, now) {
		t.Error("a tenth of a second later, number 11 is admitted")
	}
	if b.take(100, now.Add(-time.Hour)) {
		t.Error("a clock that is set back admits one")
	}
	var o bucket
	if d := o.owe(100, 100, now); d != 0 {
		t.Errorf("the first 100 wait %v", d)
	}
	if d := o.owe(50, 100, now); d != 500*time.Millisecond {
		t.Errorf("50 more wait %v, want 500ms", d)
	}
	var l tally
	if !l.again("a", now, time.Second) || l.again("a", now.Add(999*time.Millisecond), time.Second) || !l.again("b", now, time.Second) || !l.again("a", now.Add(time.Second), time.Second) {
		t.Error("once a second is another thing")
	}
	for i := range maxTally + 10 {
		l.again(fmt.Sprint(i), now, time.Second)
	}
	if len(l.last) > maxTally {
		t.Errorf("%d entries are remembered", len(l.last))
	}
}

// TestAccountQuotas: each rate refuses what exceeds it, only when quotas hold,
// and in words that say which one it was.
func TestAccountQuotas(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, quotas := range []bool{true, false} {
		m := &MQTT{Quotas: quotas, Now: func() time.Time { return now }}
		if err := m.mayTake("t", true); err != nil {
			t.Error(err)
		}
		if err := m.mayTake("t", true); (err != nil) != quotas {
			t.Errorf("quotas %v: a second retained message in a second: %v", quotas, err)
		}
		refused := 0
		for i := range accountRetained + 10 {
			if m.mayTake(fmt.Sprint(i), true) != nil {
				refused++
			}
		}
		if want := map[bool]int{true: 12, false: 0}[quotas]; refused != want {
			t.Errorf("quotas %v: %d retained messages refused, want %d", quotas, refused, want)
		}
		refused = 0
		for range accountInbound {
			if m.mayTake("x", false) != nil {
				refused++
			}
		}
		if quotas != (refused > 0) {
			t.Errorf("quotas %v: %d messages refused", quotas, refused)
		}
	}
}
