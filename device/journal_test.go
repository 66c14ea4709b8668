package device_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"strait/device"
)

const mib = 1 << 20

// someRecords is what an upload may write.
func someRecords(r *rand.Rand, n int) []device.Record {
	out := []device.Record{{Begin: &device.Begun{Version: 1, Size: int64(n) * 5 * mib, Bucket: "b", Key: "k", UploadID: fmt.Sprint("u", r.Uint64()), At: time.Unix(1e9, 0).UTC()}}}
	for i := range n {
		out = append(out, device.Record{Part: &device.PartDone{Number: int32(i + 1), Offset: int64(i) * 5 * mib, Size: 5 * mib, Sum: r.Uint64(), ETag: `"e"`}})
	}
	if r.IntN(2) == 0 {
		out = append(out, device.Record{Ending: true})
		if r.IntN(2) == 0 {
			out = append(out, device.Record{Done: &device.UploadOutput{Bucket: "b", Key: "k", Size: 1, Parts: n}})
		}
	}
	return out
}

// written returns a journal and where each of its records ends.
func written(rs []device.Record) (data []byte, ends []int) {
	var sum uint32
	for _, r := range rs {
		data, sum = device.AppendRecord(data, sum, r)
		ends = append(ends, len(data))
	}
	return data, ends
}

// remembered is what the first n of rs say.
func remembered(rs []device.Record) (p device.Past) {
	for _, r := range rs {
		switch {
		case r.Begin != nil:
			p.Begin = r.Begin
		case r.Part != nil:
			p.Parts = append(p.Parts, *r.Part)
		case r.Ending:
			p.Ending = true
		case r.Done != nil:
			p.Done = r.Done
		}
	}
	return p
}

// Scenario: power fails at any byte of what was written, and the disk keeps
// noise, zeros or old bytes behind it. Every record that was written whole is
// believed, and nothing else.
func TestJournalTorn(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rs := someRecords(r, r.IntN(8))
		data, ends := written(rs)
		cut := r.IntN(len(data) + 1)
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		want := 0
		if whole > 0 {
			want = ends[whole-1]
		}
		tail := make([]byte, r.IntN(100))
		switch r.IntN(3) {
		case 0: // zeros, as a file system leaves them
		case 1:
			for i := range tail {
				tail[i] = byte(r.Uint32())
			}
		case 2: // lines of an older, longer journal
			if cut > 0 { // at the beginning it would simply be a journal
				tail, _ = written(someRecords(r, 3))
			}
		}
		if cut < len(data) && len(tail) > 0 && tail[0] == data[cut] {
			tail[0] ^= 1 // else more than the cut would be whole
		}
		p, good, _ := device.ParseJournal(append(bytes.Clone(data[:cut]), tail...))
		if good != want || !reflect.DeepEqual(p, remembered(rs[:whole])) {
			t.Fatalf("cut at %d of %d, with %d bytes behind: believed %d bytes, want %d", cut, len(data), len(tail), good, want)
		}
	}
}

// One changed byte, one line that is missing, doubled or moved: what is
// believed is a beginning of what was written.
func TestJournalDamaged(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 600 {
		rs := someRecords(r, 2+r.IntN(6))
		data, ends := written(rs)
		begin := func(i int) int {
			if i == 0 {
				return 0
			}
			return ends[i-1]
		}
		i := r.IntN(len(rs) - 1)
		line := data[begin(i):ends[i]]
		var bad []byte
		whole := i // records before the damage
		switch n % 3 {
		case 0:
			bad = bytes.Clone(data)
			bad[begin(i)+r.IntN(len(line))] ^= 1 << r.IntN(8)
		case 1:
			bad = append(bytes.Clone(data[:begin(i)]), data[ends[i]:]...)
		case 2:
			bad = append(append(bytes.Clone(data[:ends[i]]), line...), data[ends[i]:]...)
			whole++
		}
		p, good, _ := device.ParseJournal(bad)
		if good != begin(whole) || !reflect.DeepEqual(p, remembered(rs[:whole])) {
			t.Fatalf("damage %d in line %d of %d: believed %d bytes, want %d", n%3, i, len(rs), good, begin(whole))
		}
	}
}

// checked gives each line of data the checksum that it should have: noise alone
// would never come past the first one.
func checked(data []byte) (out []byte) {
	var sum uint32
	for line := range bytes.Lines(data) {
		text := bytes.TrimSuffix(line[min(9, len(line)):], []byte{'\n'})
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), text)
		out = append(fmt.Appendf(out, "%08x ", sum), append(text[:len(text):len(text)], '\n')...)
	}
	return out
}

// Whatever is in the file, with right checksums or wrong ones: what is believed
// is exactly what would be written for it again, and believing it once more
// changes nothing.
func FuzzJournal(f *testing.F) {
	data, _ := written(someRecords(rand.New(rand.NewPCG(5, 6)), 3))
	f.Add(data, false)
	f.Add(data[:len(data)-3], false)
	f.Add(data, true)
	f.Add([]byte("00000000 {}\n"), true)
	// Parts that no journal may hold: each is what one check refuses.
	for _, part := range []string{
		`"Number":0,"Offset":0,"Size":5,"Sum":"1","ETag":"e"`, `"Number":10001,"Offset":0,"Size":5,"Sum":"1","ETag":"e"`, `"Number":1,"Offset":-5,"Size":5,"Sum":"1","ETag":"e"`,
		`"Number":1,"Offset":0,"Size":0,"Sum":"1","ETag":"e"`, `"Number":1,"Offset":0,"Size":5,"Sum":"1"`, `"Number":1,"Offset":6,"Size":5,"Sum":"1","ETag":"e"`,
	} {
		f.Add([]byte(`00000000 {"Begin":{"Version":1,"Size":10,"UploadID":"u"}}`+"\n00000000 {\"Part\":{"+part+"}}\n"), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, right bool) {
		if right {
			data = checked(data)
		}
		p, good, sum := device.ParseJournal(data)
		if good < 0 || good > len(data) || good == 0 && p.Begin != nil || good > 0 && p.Begin == nil {
			t.Fatalf("believed %d of %d bytes: %+v", good, len(data), p)
		}
		again, same, sum2 := device.ParseJournal(data[:good])
		if same != good || sum != sum2 || !reflect.DeepEqual(p, again) {
			t.Fatal("read again it is something else")
		}
		for _, d := range p.Parts {
			if d.Number < 1 || d.Number > 10_000 || d.ETag == "" || d.Size < 1 || d.Offset < 0 || p.Begin.Size >= 0 && d.Offset+d.Size > p.Begin.Size {
				t.Fatalf("a part outside the file: %+v", d)
			}
		}
		// One more record is believed after what was.
		if p.Done == nil && p.Begin != nil {
			line, _ := device.AppendRecord(nil, sum, device.Record{Ending: true})
			if next, n, _ := device.ParseJournal(append(bytes.Clone(data[:good]), line...)); n != good+len(line) || !next.Ending {
				t.Fatal("what was added is not believed")
			}
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever was done before and however fast parts go: the pieces cover the file
// without gaps, are large enough, and number at most 10,000.
func TestPlan(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for n := range 500 {
		size := 1 + r.Int64N(400*mib)
		want := int64(0)
		if n%3 == 0 {
			want = 5*mib + r.Int64N(20*mib)
		}
		if n%50 == 0 {
			size = 48 << 40 // only many or large parts can hold it
		}
		var done []device.PartDone
		var kept int64
		for life := 0; ; life++ {
			p := device.NewPlan(size, want)
			if !p.Resume(done) {
				t.Fatalf("a plan does not take its own parts: %v", done)
			}
			if p.Sent() != kept {
				t.Fatalf("resumed with %d bytes, want %d", p.Sent(), kept)
			}
			var under []device.PartDone
			died := false
			for !died {
				d, ok := p.Take()
				if ok {
					under = append(under, d)
				}
				if len(under) == 0 {
					break
				}
				if !ok || r.IntN(2) == 0 {
					i := r.IntN(len(under))
					x := under[i]
					under = append(under[:i], under[i+1:]...)
					x.ETag, x.Sum = "e", r.Uint64()
					p.Finish(x, time.Duration(1+r.Int64N(int64(10*time.Second))))
					done, kept = append(done, x), kept+x.Size
				}
				died = life < 5 && r.IntN(10) == 0
			}
			if died {
				continue
			}
			var at int64
			pieces := p.Pieces()
			for i, x := range pieces {
				if x.Offset != at || x.Number != int32(i+1) || x.Size < 5*mib && i < len(pieces)-1 || x.Size > 5<<30 {
					t.Fatalf("piece %d of %d is %+v, want it at %d", i, len(pieces), x, at)
				}
				at += x.Size
			}
			if at != size || len(pieces) > 10_000 || kept != size {
				t.Fatalf("%d pieces cover %d of %d bytes, %d sent", len(pieces), at, size, kept)
			}
			break
		}
	}
}

func TestJournalFor(t *testing.T) {
	for _, n := range []int{100, 240, 255} {
		name := filepath.Base(device.JournalFor("/data/" + strings.Repeat("é", n/2) + "1"))
		other := filepath.Base(device.JournalFor("/data/" + strings.Repeat("é", n/2) + "2"))
		if len(name) > 255 || name == other || !device.IsJournal(name) || !utf8.ValidString(name) {
			t.Errorf("the journal of a name of %d bytes is %s", n, name)
		}
	}
	j := device.JournalFor("/data/a.log")
	if j != "/data/.a.log.strait-upload" || !device.IsJournal(j) || device.IsJournal("/data/a.log") || device.IsJournal(".strait-upload") {
		t.Errorf("JournalFor = %s", j)
	}
}
