package dir

import (
	"strait/object"
	"time"
)

// Each record begins with its kind, a letter that no other kind or later form
// of it will share.
const (
	kindBucket    = 'b'
	kindManifest  = 'o'
	kindUpload    = 'u'
	kindPart      = 'p'
	kindTombstone = 't'
)

// A manifest is an object: what is told of it, and where its bytes are.
// Either extents or runs are empty.
type manifest struct {
	version  id // also the seed of its blocks, or the upload it was made of
	size     int64
	etag     string
	modified time.Time
	meta     object.Meta
	checksum object.Checksum
	extents  []extent
	runs     []run
}

// A run is count parts of one size with consecutive numbers. An upload of
// equal parts is two runs; the worst of 10,000 different ones is about 80 KiB.
type run struct {
	first, count int
	size         int64
}

// An extent is a stretch of whole blocks in one segment.
type extent struct {
	segment uint64
	offset  int64 // in the file
	length  int64 // of data, without the blocks' sums
}

// A part is one part of an upload, or of an object made of it.
type part struct {
	seed     id
	size     int64
	md5      [16]byte
	modified time.Time
	checksum object.Checksum
	extents  []extent
}

// An upload is a multipart upload under way.
type upload struct {
	meta           object.Meta
	algorithm, typ string
	initiator      string
	initiated      time.Time
}

// A tombstone is what is left of an upload for object.CompleteAgain. Its
// absence is what a writing part expects, so none can slip in after the end.
type tombstone struct {
	at       time.Time
	name     string   // bucket NUL key
	parts    [32]byte // SHA-256 of the parts named at Complete; zero when aborted
	complete bool
	manifest manifest // the completed object
}

func (m *manifest) encode() []byte {
	e := encoder{b: make([]byte, 0, 128)}
	e.byte(kindManifest)
	m.append(&e)
	return e.b
}

func (m *manifest) append(e *encoder) {
	e.id(m.version)
	e.int(m.size)
	e.string(m.etag)
	e.time(m.modified)
	e.meta(m.meta)
	e.checksum(m.checksum)
	e.extents(m.extents)
	e.int(int64(len(m.runs)))
	for _, r := range m.runs {
		e.int(int64(r.first))
		e.int(int64(r.count))
		e.int(r.size)
	}
}

func decodeManifest(b []byte) (manifest, error) { return readManifest(decoder{b: b}) }

// skimManifest checks a record as decodeManifest does, and gives what is no
// string.
func skimManifest(b []byte) (manifest, error) { return readManifest(decoder{b: b, bare: true}) }

func readManifest(d decoder) (m manifest, err error) {
	if d.byte() != kindManifest {
		d.fail()
	}
	m.read(&d)
	if err = d.done(); err == nil && !m.adds() {
		err = errRecord
	}
	if err != nil {
		return manifest{}, err
	}
	return m, nil
}

func (m *manifest) read(d *decoder) {
	m.version = d.id()
	m.size = d.int()
	m.etag = d.string()
	m.modified = d.time()
	m.meta = d.meta()
	m.checksum = d.checksum()
	m.extents = d.extents()
	if n := d.count(3); n > 0 {
		m.runs = make([]run, n)
	}
	for i := range m.runs {
		first, count, size := d.int(), d.int(), d.int()
		if first > object.MaxParts || count > object.MaxParts || size > object.MaxBody {
			d.fail()
			return
		}
		m.runs[i] = run{int(first), int(count), size}
	}
}

// adds tells whether the stretches are in order and make up the size.
func (m *manifest) adds() bool {
	if len(m.extents) > 0 && len(m.runs) > 0 {
		return false
	}
	if len(m.runs) == 0 {
		return extentsAdd(m.extents, m.size)
	}
	var total int64
	next := 1
	for _, r := range m.runs {
		if r.first < next || r.count < 1 || r.first+r.count-1 > object.MaxParts {
			return false
		}
		next = r.first + r.count
		total += int64(r.count) * r.size // below 10,000 times 5 GiB each, and numbers do not overlap
	}
	return total == m.size
}

// parts returns the number of parts, 0 for a single Put.
func (m *manifest) parts() (n int) {
	for _, r := range m.runs {
		n += r.count
	}
	return n
}

// nth is where the n-th part is, counted from 1 in order of part numbers: the
// k-th, counted from 0, of a run.
func (m *manifest) nth(n int) (run, k int, ok bool) {
	for i, r := range m.runs {
		if n >= 1 && n <= r.count {
			return i, n - 1, true
		}
		n -= r.count
	}
	return 0, 0, false
}

// has tells whether part number belongs to the object.
func (m *manifest) has(number int) bool {
	for _, r := range m.runs {
		if r.first <= number && number < r.first+r.count {
			return true
		}
	}
	return false
}

func (m *manifest) info(bucket, key string) object.Info {
	return object.Info{Bucket: bucket, Key: key, Size: m.size, ETag: m.etag, Modified: m.modified,
		Meta: m.meta, Checksum: m.checksum, Parts: m.parts()}
}

func (e *encoder) extents(xs []extent) {
	e.int(int64(len(xs)))
	for _, x := range xs {
		e.int(int64(x.segment))
		e.int(x.offset)
		e.int(x.length)
	}
}

func (d *decoder) extents() []extent {
	n := d.count(3)
	if n == 0 {
		return nil
	}
	xs := make([]extent, n)
	for i := range xs {
		xs[i] = extent{uint64(d.int()), d.int(), d.int()}
	}
	return xs
}

// extentsAdd tells whether xs make up size bytes, all but the last of them
// whole blocks, at places that can be.
func extentsAdd(xs []extent, size int64) bool {
	const most = 1 << 50
	var total int64
	for i, x := range xs {
		if x.length < 1 || x.length > object.MaxBody || x.offset > most || i < len(xs)-1 && x.length%blockSize != 0 {
			return false
		}
		if total += x.length; total > most {
			return false
		}
	}
	return total == size
}

func (p *part) encode() []byte {
	e := encoder{b: make([]byte, 0, 128)}
	e.byte(kindPart)
	e.id(p.seed)
	e.int(p.size)
	e.id(p.md5)
	e.time(p.modified)
	e.checksum(p.checksum)
	e.extents(p.extents)
	return e.b
}

func decodePart(b []byte) (part, error) { return readPart(decoder{b: b}) }

// skimPart is to decodePart as skimManifest is to decodeManifest.
func skimPart(b []byte) (part, error) { return readPart(decoder{b: b, bare: true}) }

func readPart(d decoder) (p part, err error) {
	if d.byte() != kindPart {
		d.fail()
	}
	p = part{seed: d.id(), size: d.int(), md5: d.id(), modified: d.time(), checksum: d.checksum(), extents: d.extents()}
	if err = d.done(); err == nil && !extentsAdd(p.extents, p.size) {
		err = errRecord
	}
	if err != nil {
		return part{}, err
	}
	return p, nil
}

func (u *upload) encode() []byte {
	e := encoder{b: make([]byte, 0, 128)}
	e.byte(kindUpload)
	e.meta(u.meta)
	e.string(u.algorithm, u.typ, u.initiator)
	e.time(u.initiated)
	return e.b
}

func decodeUpload(b []byte) (u upload, err error) {
	d := decoder{b: b}
	if d.byte() != kindUpload {
		d.fail()
	}
	u.meta = d.meta()
	d.strings(&u.algorithm, &u.typ, &u.initiator)
	u.initiated = d.time()
	if err = d.done(); err != nil {
		return upload{}, err
	}
	return u, nil
}

func (t *tombstone) encode() []byte {
	e := encoder{b: make([]byte, 0, 256)}
	e.byte(kindTombstone)
	e.time(t.at)
	e.string(t.name)
	if !t.complete {
		e.byte(0)
		return e.b
	}
	e.byte(1)
	e.b = append(e.b, t.parts[:]...)
	t.manifest.append(&e)
	return e.b
}

func decodeTombstone(b []byte) (t tombstone, err error) {
	d := decoder{b: b}
	if d.byte() != kindTombstone {
		d.fail()
	}
	t.at, t.name = d.time(), d.string()
	switch d.byte() {
	case 0:
	case 1:
		t.complete = true
		if len(d.b) < len(t.parts) {
			d.fail()
			break
		}
		copy(t.parts[:], d.b)
		d.b = d.b[len(t.parts):]
		t.manifest.read(&d)
	default:
		d.fail()
	}
	if err = d.done(); err == nil && t.complete && !t.manifest.adds() {
		err = errRecord
	}
	if err != nil {
		return tombstone{}, err
	}
	return t, nil
}

func encodeBucket(b object.Bucket) []byte {
	e := encoder{}
	e.byte(kindBucket)
	e.time(b.Created)
	e.string(b.Owner)
	return e.b
}

func decodeBucket(name string, b []byte) (object.Bucket, error) {
	d := decoder{b: b}
	if d.byte() != kindBucket {
		d.fail()
	}
	v := object.Bucket{Name: name, Created: d.time(), Owner: d.string()}
	if err := d.done(); err != nil {
		return object.Bucket{}, err
	}
	return v, nil
}
