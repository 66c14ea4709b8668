package device

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"strait"
)

// A journal remembers an upload in parts, so that a process that starts anew
// after kill -9 or a power failure goes on where the last one was. It is a
// file of lines, each "CHECKSUM JSON": the checksum (CRC32C, eight hexadecimal
// digits) goes over all JSON so far, so a line that was torn, changed, lost or
// moved ends what is believed, and everything before it stands. A line counts
// once it is synced. A device with s3:PutObject only cannot ask the server
// which parts it has: the journal is the only memory.
type journal struct {
	path string
	f    *os.File
	sum  uint32 // of all JSON so far
	past        // what the journal says

	synced int // how many records this process has written
}

// past is what a journal remembers.
type past struct {
	Begin  *begun
	Parts  []partDone // in the order in which they were done
	Ending bool       // the end was sent, perhaps without an answer
	Done   *UploadOutput
}

// begun is the first record: which file goes where, in which upload.
type begun struct {
	Version  int
	Size     int64 // -1 for a stream
	Modified int64 // nanoseconds since 1970
	File     string
	Bucket   string
	Key      string
	Endpoint string
	Region   string
	About    string // type, encoding and metadata, which were fixed at the beginning
	UploadID string
	At       time.Time
}

// partDone is a part that the server has acknowledged.
type partDone struct {
	Number int32
	Offset int64
	Size   int64
	Sum    uint64 `json:",string"`
	ETag   string
}

// record is one line; one field is set.
type record struct {
	Begin  *begun        `json:",omitempty"`
	Part   *partDone     `json:",omitempty"`
	Ending bool          `json:",omitempty"`
	Done   *UploadOutput `json:",omitempty"`
}

const (
	journalVersion = 1
	// maxJournal bounds what is read: 10,000 parts take about 2 MiB.
	maxJournal    = 16 << 20
	journalSuffix = ".strait-upload"
)

// maxName is the longest name of a file, in bytes, on what devices have.
const maxName = 255

// JournalFor is the usual place of a file's journal: beside it, hidden. A name
// that would become too long is cut, and told apart by its hash.
func JournalFor(file string) string {
	base := filepath.Base(file)
	if len(base) > maxName-1-len(journalSuffix) {
		sum := sha256.Sum256([]byte(base))
		base = strings.ToValidUTF8(base[:128], "") + "-" + hex.EncodeToString(sum[:8])
	}
	return filepath.Join(filepath.Dir(file), "."+base+journalSuffix)
}

// IsJournal tells whether a file's name is a journal's.
func IsJournal(name string) bool {
	base := filepath.Base(name)
	return len(base) > len(journalSuffix)+1 && base[0] == '.' && filepath.Ext(base) == journalSuffix
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseJournal reads what can be believed of a journal. good is how many bytes
// that is, sum the checksum there; nothing after good has any influence.
func parseJournal(data []byte) (p past, good int, sum uint32) {
	for good < len(data) {
		line, _, whole := bytes.Cut(data[good:], []byte{'\n'})
		if !whole || len(line) < 10 || line[8] != ' ' {
			return p, good, sum
		}
		want, err := strconv.ParseUint(string(line[:8]), 16, 32)
		text := line[9:]
		next := crc32.Update(sum, castagnoli, text)
		if err != nil || uint32(want) != next || string(line[:8]) != fmt.Sprintf("%08x", next) {
			return p, good, sum
		}
		var r record
		if json.Unmarshal(text, &r) != nil || !p.add(r) {
			return p, good, sum
		}
		good, sum = good+len(line)+1, next
	}
	return p, good, sum
}

// add takes a record in when it may follow.
func (p *past) add(r record) bool {
	switch {
	case r.Begin != nil:
		if p.Begin != nil || r.Begin.Version != journalVersion || r.Begin.UploadID == "" {
			return false
		}
		p.Begin = r.Begin
	case p.Begin == nil || p.Done != nil:
		return false
	case r.Part != nil:
		d := r.Part
		if d.Number < 1 || d.Number > maxParts || d.Offset < 0 || d.Size < 1 || d.Size > maxPart || d.ETag == "" || p.Begin.Size >= 0 && d.Offset > p.Begin.Size-d.Size {
			return false
		}
		p.Parts = append(p.Parts, *d)
	case r.Ending:
		p.Ending = true
	case r.Done != nil:
		p.Done = r.Done
	default:
		return false
	}
	return true
}

// appendRecord adds a line to b and returns the checksum after it.
func appendRecord(b []byte, sum uint32, r record) ([]byte, uint32) {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // cannot happen: strings and numbers only
	}
	sum = crc32.Update(sum, castagnoli, text)
	return append(fmt.Appendf(b, "%08x ", sum), append(text, '\n')...), sum
}

// openJournal opens or makes the journal at path and reads it. While it is
// open no other process may open it (Conflict): two must not send one file.
// What cannot be believed is cut off.
func openJournal(path string) (*journal, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, strait.Errorf(strait.Invalid, "journal", "open the journal of the upload: %w. Name another place for it", err)
		}
		if err := lockFile(f); err != nil {
			f.Close()
			return nil, strait.Errorf(strait.Conflict, "journal", "another process is sending this file (it holds %s)", path)
		}
		// The one before us may have removed it between our opening and locking.
		here, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 != nil || err2 != nil || !os.SameFile(here, there) {
			f.Close()
			continue
		}
		j := &journal{path: path, f: f}
		if err := j.read(here.Size()); err != nil {
			f.Close()
			return nil, fmt.Errorf("read the journal of the upload: %w", err)
		}
		return j, nil
	}
}

func (j *journal) read(size int64) error {
	data, err := io.ReadAll(io.LimitReader(j.f, maxJournal))
	if err != nil {
		return err
	}
	var good int
	j.past, good, j.sum = parseJournal(data)
	if int64(good) == size {
		return nil
	}
	if err := j.f.Truncate(int64(good)); err != nil {
		return err
	}
	_, err = j.f.Seek(int64(good), io.SeekStart)
	return errors.Join(err, j.f.Sync())
}

// begin forgets what was and begins anew.
func (j *journal) begin(b begun) error {
	if err := j.forget(); err != nil {
		return err
	}
	if err := j.write(record{Begin: &b}); err != nil {
		return err
	}
	return syncDir(filepath.Dir(j.path))
}

// forget empties the journal.
func (j *journal) forget() error {
	j.past, j.sum = past{}, 0
	if err := j.f.Truncate(0); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	_, err := j.f.Seek(0, io.SeekStart)
	return errors.Join(err, j.f.Sync())
}

// write adds a record; when it returns, power may fail.
func (j *journal) write(r record) error {
	line, sum := appendRecord(nil, j.sum, r)
	if _, err := j.f.Write(line); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	j.sum = sum
	j.synced++
	j.add(r)
	return nil
}

// remove ends the journal's life; close leaves it for the next process. An
// empty one is not left behind.
func (j *journal) remove() error {
	err := os.Remove(j.path)
	return errors.Join(err, j.f.Close(), syncDir(filepath.Dir(j.path)))
}

func (j *journal) close() error {
	if j.Begin == nil {
		return j.remove()
	}
	return j.f.Close()
}
