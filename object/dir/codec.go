package dir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"strait/object"
)

// errRecord says that a fact of ours does not decode.
var errRecord = errors.New("a record of the object store is damaged")

// An encoder appends plain values; a decoder reads them in the same order.
// Numbers are shortest-form varints and maps are sorted, so that a record has
// one encoding only.
type encoder struct{ b []byte }

func (e *encoder) byte(v byte)      { e.b = append(e.b, v) }
func (e *encoder) int(v int64)      { e.b = binary.AppendUvarint(e.b, uint64(v)) }
func (e *encoder) id(v id)          { e.b = append(e.b, v[:]...) }
func (e *encoder) time(v time.Time) { e.int(v.UnixMilli()) }
func (e *encoder) string(vs ...string) {
	for _, v := range vs {
		e.int(int64(len(v)))
		e.b = append(e.b, v...)
	}
}

func (e *encoder) meta(m object.Meta) {
	e.string(m.ContentType, m.ContentEncoding, m.CacheControl, m.ContentDisposition, m.ContentLanguage, m.Expires)
	e.int(int64(len(m.Tags) + len(m.User)))
	for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
		e.string(tagMark+k, m.Tags[k])
	}
	for _, k := range slices.Sorted(maps.Keys(m.User)) {
		e.string(k, m.User[k])
	}
}

// tagMark begins the name of a tag among the metadata. No name of the user's
// begins with it (object.Meta.Valid), and as the lowest byte it keeps the whole
// sorted, so that records from before there were tags read as they did.
const tagMark = "\x00"

func (e *encoder) checksum(c object.Checksum) { e.string(c.Algorithm, c.Type, c.Value) }

// A decoder yields zero values once something did not fit; ask done at last.
type decoder struct {
	b   []byte
	bad bool
	// bare checks all but gives no strings and no maps: of a million records
	// they are most of the work.
	bare bool
}

// fail ends decoding; later reads give zero values.
func (d *decoder) fail() { d.b, d.bad = nil, true }

// done returns errRecord unless everything fitted and was used up.
func (d *decoder) done() error {
	if d.bad || len(d.b) > 0 {
		return errRecord
	}
	return nil
}

func (d *decoder) byte() (v byte) {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v, d.b = d.b[0], d.b[1:]
	return v
}

// int reads a number of 0 or more.
func (d *decoder) int() int64 {
	v, n := binary.Uvarint(d.b)
	// A last byte of 0 means that a shorter form exists.
	if n <= 0 || int64(v) < 0 || n > 1 && d.b[n-1] == 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return int64(v)
}

// count reads how many items follow, each at least size bytes long, so that a
// damaged count cannot ask for much memory.
func (d *decoder) count(size int) int {
	n := d.int()
	if n > int64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) id() (v id) {
	if len(d.b) < idSize {
		d.fail()
		return v
	}
	copy(v[:], d.b)
	d.b = d.b[idSize:]
	return v
}

// Times far beyond any clock are damage, too: they would not encode again.
func (d *decoder) time() time.Time {
	ms := d.int()
	if ms > 1<<47 {
		d.fail()
	}
	return time.UnixMilli(ms).UTC()
}

// bytes are not copied.
func (d *decoder) bytes() (v []byte) {
	n := d.count(1)
	v, d.b = d.b[:n], d.b[n:]
	return v
}

func (d *decoder) string() string {
	if v := d.bytes(); !d.bare {
		return string(v)
	}
	return ""
}

func (d *decoder) strings(vs ...*string) {
	for _, v := range vs {
		*v = d.string()
	}
}

func (d *decoder) meta() (m object.Meta) {
	d.strings(&m.ContentType, &m.ContentEncoding, &m.CacheControl, &m.ContentDisposition, &m.ContentLanguage, &m.Expires)
	n := d.count(2)
	if n == 0 {
		return m
	}
	var last []byte
	for i := range n {
		k, v := d.bytes(), d.bytes()
		if i > 0 && bytes.Compare(k, last) <= 0 {
			d.fail()
			return m
		}
		last = k
		if d.bare {
			continue
		}
		if tag, ok := strings.CutPrefix(string(k), tagMark); ok {
			m.Tags = with(m.Tags, tag, string(v), n)
		} else {
			m.User = with(m.User, string(k), string(v), n)
		}
	}
	return m
}

// with adds to a map that may not be there yet.
func with(m map[string]string, k, v string, n int) map[string]string {
	if m == nil {
		m = make(map[string]string, n)
	}
	m[k] = v
	return m
}

func (d *decoder) checksum() (c object.Checksum) {
	d.strings(&c.Algorithm, &c.Type, &c.Value)
	return c
}
