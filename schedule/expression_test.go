package schedule_test

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/schedule"
)

var update = flag.Bool("update", false, "write the golden files")

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// nexts are the first n moments after the given one.
func nexts(e *schedule.Expression, after time.Time, z *time.Location, n int) (out []time.Time) {
	begin := after
	for range n {
		t, ok := e.Next(after, begin, z)
		if !ok {
			break
		}
		out = append(out, t)
		after = t
	}
	return out
}

// TestNext plays testdata/next.txt: an expression, a zone, a moment; then the
// moments that follow it, or why the expression is refused.
func TestNext(t *testing.T) {
	const file = "testdata/next.txt"
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var golden strings.Builder
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		question, want, asked := strings.Cut(line, " => ")
		if !asked {
			golden.WriteString(line + "\n")
			continue
		}
		parts := strings.Split(question, " | ")
		var got string
		if e, err := schedule.Parse(parts[0]); err != nil {
			got = "refused: " + strings.TrimPrefix(err.Error(), "the schedule expression is not valid: ")
		} else {
			z := zone(t, parts[1])
			after, err := time.Parse(time.RFC3339, parts[2])
			if err != nil {
				t.Fatalf("%s:%d: %v", file, n, err)
			}
			words := []string{}
			for _, m := range nexts(e, after, z, 4) {
				words = append(words, m.In(z).Format("Mon 2006-01-02T15:04:05Z07:00"))
			}
			if got = strings.Join(words, ", "); got == "" {
				got = "never"
			}
		}
		if got != want && !*update {
			t.Errorf("%s:%d: %s\n got %s\nwant %s", file, n, question, got, want)
		}
		fmt.Fprintf(&golden, "%s => %s\n", question, got)
	}
	if *update {
		if err := os.WriteFile(file, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A slow evaluator: it looks at every minute and asks of its wall clock whether
// each field means it. It has nothing in common with the fast one.
type slow struct{ fields []string }

func newSlow(expression string) slow {
	return slow{strings.Fields(strings.TrimSuffix(strings.TrimPrefix(expression, "cron("), ")"))}
}

func number(s string) int {
	for _, names := range []string{"JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", "SUNMONTUEWEDTHUFRISAT"} {
		if j := strings.Index(names, strings.ToUpper(s)); j >= 0 && len(s) == 3 {
			return j/3 + 1
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(s)
	}
	return n
}

func means(field string, min, v int) bool {
	for _, part := range strings.Split(field, ",") {
		by := 1
		span, step, stepped := strings.Cut(part, "/")
		if stepped {
			by = number(step)
		}
		from, to := min, 1<<20
		if span != "*" {
			low, high, ranged := strings.Cut(span, "-")
			from = number(low)
			if ranged {
				to = number(high)
			} else if !stepped {
				to = from
			}
		}
		if v >= from && v <= to && (v-from)%by == 0 {
			return true
		}
	}
	return false
}

func (s slow) day(t time.Time) bool {
	weekday := int(t.Weekday()) + 1
	f := s.fields[2]
	if f == "?" {
		f = s.fields[4]
		switch {
		case f == "L":
			return weekday == 7
		case strings.HasSuffix(f, "L"):
			return weekday == number(f[:len(f)-1]) && t.AddDate(0, 0, 7).Month() != t.Month()
		case strings.Contains(f, "#"):
			day, k, _ := strings.Cut(f, "#")
			n := 0
			for d := t; d.Month() == t.Month(); d = d.AddDate(0, 0, -7) {
				n++
			}
			return weekday == number(day) && n == number(k)
		}
		return means(f, 1, weekday)
	}
	switch {
	case f == "L":
		return t.AddDate(0, 0, 1).Month() != t.Month()
	case strings.HasSuffix(f, "W"):
		// Of all working days of the month the one with the least distance;
		// none when the month has no such day.
		n := number(f[:len(f)-1])
		target := time.Date(t.Year(), t.Month(), n, 12, 0, 0, 0, time.UTC)
		if target.Month() != t.Month() {
			return false
		}
		best, distance := 0, 1000
		for d := 1; d <= 31; d++ {
			c := time.Date(t.Year(), t.Month(), d, 12, 0, 0, 0, time.UTC)
			if c.Month() != t.Month() || c.Weekday() == time.Sunday || c.Weekday() == time.Saturday {
				continue
			}
			away := max(d-n, n-d)
			if away < distance {
				best, distance = d, away
			}
		}
		return t.Day() == best
	}
	return means(f, 1, t.Day())
}

// next looks until a limit.
func (s slow) next(after, limit time.Time, z *time.Location) (time.Time, bool) {
	for t := after.UTC().Truncate(time.Minute).Add(time.Minute); !t.After(limit); t = t.Add(time.Minute) {
		w := t.In(z)
		if !means(s.fields[0], 0, w.Minute()) || !means(s.fields[1], 0, w.Hour()) || !means(s.fields[3], 1, int(w.Month())) || !means(s.fields[5], 1970, w.Year()) {
			continue
		}
		// The clock showed this before: an hour that is there twice.
		again := false
		for back := time.Duration(30); back <= 180; back += 30 {
			e := t.Add(-back * time.Minute).In(z)
			again = again || e.Day() == w.Day() && e.Hour() == w.Hour() && e.Minute() == w.Minute()
		}
		if !again && s.day(w) {
			return t, true
		}
	}
	return time.Time{}, false
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func randomCron(r *rand.Rand) string {
	n := func(low, high int) string { return strconv.Itoa(low + r.IntN(high-low+1)) }
	span := func(low, high int) string {
		a, b := low+r.IntN(high-low+1), low+r.IntN(high-low+1)
		return fmt.Sprint(min(a, b), "-", max(a, b))
	}
	days, week := "?", "?"
	if r.IntN(2) == 0 {
		days = pick(r, "*", "L", n(1, 31)+"W", n(1, 31), span(1, 31), n(1, 28)+","+n(1, 28), "1/"+n(1, 9), "*/"+n(2, 9))
	} else {
		week = pick(r, "*", "L", n(1, 7)+"L", n(1, 7)+"#"+n(1, 5), n(1, 7), "MON-FRI", "SUN,WED", span(1, 7), "tue")
	}
	return fmt.Sprintf("cron(%s %s %s %s %s %s)",
		pick(r, n(0, 59), n(0, 59)+","+n(0, 59), "*/"+n(5, 30), span(0, 59)+"/"+n(7, 20)),
		pick(r, "*", n(0, 23), n(0, 4), span(0, 23), "*/"+n(2, 9)),
		days, pick(r, "*", "*", n(1, 12), "JAN-JUN", "MAR,OCT,NOV"), week,
		pick(r, "*", "*", "2026-2027", "2025/2", "2026"))
}

// TestSlow compares the two evaluators on random expressions, around changes
// of the clock above all.
func TestSlow(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "America/Sao_Paulo", "Pacific/Apia"}
	// Days on which the clocks of some of these zones change.
	days := []string{"2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-04-04", "2026-10-03", "2026-12-30", "2028-02-28", "2027-07-01"}
	for range 40 {
		text, z := randomCron(r), zone(t, zones[r.IntN(len(zones))])
		after, _ := time.Parse("2006-01-02", days[r.IntN(len(days))])
		after = after.Add(time.Duration(r.IntN(36*60)) * time.Minute)
		limit := after.Add(5 * 24 * time.Hour)
		e, err := schedule.Parse(text)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		for range 4 {
			want, ok := newSlow(text).next(after, limit, z)
			got, any := e.Next(after, after, z)
			if any && got.After(limit) {
				any = false
			}
			if any != ok || ok && !got.Equal(want) {
				t.Fatalf("seed %d: %s in %s after %s: got %v (%v), want %v (%v)", seed, text, z, after, got, any, want.In(z), ok)
			}
			if !ok {
				break
			}
			after = got
		}
	}
}

// FuzzParse: what is read has a next moment after the one it was asked for, or
// none; what is refused says so as Invalid.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"rate(1 minute)", "rate(36500 days)", "at(2026-11-20T13:00:00)", "cron(0 10 * * ? *)", "cron(15 12 ? * MON-FRI 2026)", "cron(0/5 8-17 ? JAN,DEC 3#2 *)", "cron(0 0 31W 2 ? *)", "cron(0 2 L * ? *)"} {
		f.Add(s, int64(1_800_000_000))
	}
	z := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string, at int64) {
		e, err := schedule.Parse(text)
		if err != nil {
			if strait.KindOf(err) != strait.Invalid || e != nil {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if e.String() != text {
			t.Fatalf("%q became %q", text, e)
		}
		after := time.Unix(at%5_000_000_000, 0)
		next, ok := e.Next(after, after, z)
		if !ok {
			return
		}
		if !next.After(after) {
			t.Fatalf("%q after %s: %s", text, after, next)
		}
		// A moment before it is followed by nothing earlier.
		if strings.HasPrefix(text, "cron") {
			if again, ok := e.Next(next.Add(-time.Second), after, z); !ok || !again.Equal(next) {
				t.Fatalf("%q: %s is next after %s, but %s after a second before it", text, next, after, again)
			}
			if next.In(z).Second() != 0 {
				t.Fatalf("%q: %s is not on a minute", text, next)
			}
		}
	})
}
