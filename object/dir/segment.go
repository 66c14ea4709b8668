package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxIdle is how many unfinished segments wait for a writer.
const maxIdle = 8

// earlyBytes of a body are on their way to the disk while more of it comes.
const earlyBytes = 1 << 20

// A segment is a file that bodies are appended to, by one writer at a time.
type segment struct {
	number uint64
	file   *os.File // nil once it is full and everyone has synced
	end    int64    // where the writer that has it appends
	begun  int64    // up to there it is on its way to the disk

	syncing group
	linked  bool // its directory entry is durable; touched within syncing

	// Guarded by segments.mu:
	holders int   // writers that append, or have appended and not yet synced
	living  int64 // bytes named by records, or by holders
	sealed  bool  // nobody will append any more
	broken  bool  // a sync failed: what was not synced before is lost
	changes int   // of living
	swept   int   // changes, when sweep looked last and found nothing more to give back
}

// segments are the files of a store.
type segments struct {
	dir  *os.File // for syncing the entries
	size int64    // a segment ends before it would grow beyond this
	sync func(*os.File) error
	// early begins to write a stretch of a file to the disk and waits for nothing.
	early func(f *os.File, offset, length int64)

	linking group
	reading handles

	mu     sync.Mutex
	all    map[uint64]*segment
	idle   []*segment // the last one is taken first, so that syncs are shared
	next   uint64
	frozen bool // a record was unreadable: unlink nothing, who knows what it named
}

func (s *segments) path(number uint64) string {
	return filepath.Join(s.dir.Name(), fmt.Sprintf("%016x.seg", number))
}

// segmentNumber undoes path; ok is false for the name of another file.
func segmentNumber(name string) (number uint64, ok bool) {
	hex, ok := strings.CutSuffix(name, ".seg")
	if !ok || len(hex) != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(hex, 16, 64)
	return number, err == nil
}

// take hands a segment to a writer, which calls giveBack and then drop.
func (s *segments) take() (*segment, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		g := s.idle[n-1]
		s.idle = s.idle[:n-1]
		g.holders++
		s.mu.Unlock()
		return g, nil
	}
	number := s.next
	s.next++
	s.mu.Unlock()

	f, err := os.OpenFile(s.path(number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	g := &segment{number: number, file: f, holders: 1, swept: -1}
	s.mu.Lock()
	s.all[number] = g
	s.mu.Unlock()
	return g, nil
}

// append writes frame at the end of g, which the caller has taken.
func (g *segment) append(frame []byte) error {
	if _, err := g.file.WriteAt(frame, g.end); err != nil {
		return err
	}
	g.end += int64(len(frame))
	return nil
}

// hurry begins to write to the disk what was appended to g, which the caller has
// taken: then flush finds less to wait for. It makes nothing durable.
func (s *segments) hurry(g *segment) {
	if n := g.end - g.begun; n >= earlyBytes {
		s.early(g.file, g.begun, n)
		g.begun = g.end
	}
}

// cut takes back everything from offset on; the caller has taken g.
func (g *segment) cut(offset int64) error {
	g.end, g.begun = offset, min(g.begun, offset)
	return g.file.Truncate(offset)
}

// giveBack lets others append to g, unless it is to be sealed. added are the
// bytes of the file that the caller wants to live. The caller remains a holder.
func (s *segments) giveBack(g *segment, added int64, seal bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.living += added
	g.changes++
	if seal || g.broken || g.end >= s.size {
		g.sealed = true
		return
	}
	s.idle = append(s.idle, g)
	if len(s.idle) > maxIdle {
		old := s.idle[0]
		s.idle = slices.Delete(s.idle, 0, 1)
		old.sealed = true
		s.settle(old)
	}
}

// drop ends the caller's holding of g.
func (s *segments) drop(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.holders--
	s.settle(g)
}

// settle closes and unlinks what nobody needs; s.mu is held.
func (s *segments) settle(g *segment) {
	if g.holders > 0 {
		return
	}
	dead := g.living == 0 && !s.frozen
	if dead && !g.sealed && g.end > 0 && g.cut(0) != nil {
		s.retire(g)
	}
	if g.sealed && g.file != nil {
		g.file.Close() // synced already, or not worth it
		g.file = nil
	}
	if dead && g.sealed {
		// A file that stays although it should go is found at the next open.
		os.Remove(s.path(g.number))
		s.reading.forget(g.number)
		delete(s.all, g.number)
	}
}

// retire seals g and takes it out of the idle ones; s.mu is held.
func (s *segments) retire(g *segment) {
	g.sealed = true
	if i := slices.Index(s.idle, g); i >= 0 {
		s.idle = slices.Delete(s.idle, i, i+1)
	}
}

// flush makes everything in g durable that was appended before the call; the
// caller is a holder. Callers at the same time share one fsync.
func (s *segments) flush(g *segment) error {
	return g.syncing.do(func() error {
		// After one failed fsync the kernel forgets what it could not write,
		// and the next one would lie.
		s.mu.Lock()
		broken := g.broken
		s.mu.Unlock()
		if broken {
			return errors.New("an earlier write to this segment failed")
		}
		err := s.sync(g.file)
		if err == nil && !g.linked {
			err = s.linking.do(func() error { return s.sync(s.dir) })
			g.linked = err == nil
		}
		if err != nil {
			s.mu.Lock()
			g.broken = true
			if slices.Contains(s.idle, g) { // else giveBack seals it
				s.retire(g)
			}
			s.mu.Unlock()
		}
		return err
	})
}

// free says that no record names xs any more and that nobody reads them.
func (s *segments) free(xs []extent) {
	for _, x := range xs {
		s.mu.Lock()
		g := s.all[x.segment]
		if g == nil { // its file is missing; Check tells
			s.mu.Unlock()
			continue
		}
		g.living -= inFile(x.length)
		g.changes++
		s.settle(g)
		gone := s.all[x.segment] == nil
		frozen := s.frozen
		s.mu.Unlock()
		if !gone && !frozen {
			s.hollow(x)
		}
	}
}

// hollow gives back the space of a dead extent inside a living segment.
func (s *segments) hollow(x extent) {
	const page, least = 4096, 64 << 10 // below least it is not worth the calls
	from := (x.offset + page - 1) / page * page
	to := (x.offset + inFile(x.length)) / page * page
	if to-from < least {
		return
	}
	f, err := os.OpenFile(s.path(x.segment), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_ = punch(f, from, to-from) // an economy only; sweep hears of it
}

// load takes stock of the files at open, when ends says how far each segment
// is named by records, and living how many of its bytes are. Unnamed files are
// unlinked and unnamed tails cut off, unless frozen.
func (s *segments) load(living, ends map[uint64]int64) error {
	entries, err := os.ReadDir(s.dir.Name())
	if err != nil {
		return err
	}
	for number := range living { // even if its file is missing
		s.next = max(s.next, number+1)
	}
	for _, e := range entries {
		number, ok := segmentNumber(e.Name())
		if !ok {
			continue
		}
		s.next = max(s.next, number+1)
		g := &segment{number: number, sealed: true, linked: true, living: living[number], swept: -1}
		s.all[number] = g
		if s.frozen {
			continue
		}
		s.settle(g)
		if end := ends[number]; end > 0 {
			if err := trim(s.path(number), e, end); err != nil {
				return err
			}
		}
	}
	return nil
}

func trim(path string, e fs.DirEntry, end int64) error {
	info, err := e.Info()
	if err != nil || info.Size() <= end {
		return err
	}
	return os.Truncate(path, end)
}

// close closes the files; no writer is left.
func (s *segments) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.idle {
		g.sealed = true
		if g.file != nil {
			g.file.Close() // all that counts is synced
			g.file = nil
		}
	}
	s.idle = nil
	s.reading.close()
	return s.dir.Close()
}
