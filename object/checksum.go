package object

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strconv"

	"strait"
)

// Checksum algorithms (s3-upload.md section 5).
const (
	CRC32     = "CRC32"
	CRC32C    = "CRC32C"
	CRC64NVME = "CRC64NVME"
	SHA1      = "SHA1"
	SHA256    = "SHA256"
)

// Types of a checksum: over the bytes, or over the checksums of the parts.
const (
	FullObject = "FULL_OBJECT"
	Composite  = "COMPOSITE"
)

// The polynomials as Go has them, reflected.
const (
	poly32   = crc32.IEEE
	poly32C  = crc32.Castagnoli
	poly64NV = 0x9a6c9329ac4bc9b5
)

// A Checksum is kept with an object or part. The zero Checksum is none.
type Checksum struct {
	Algorithm string // CRC32, CRC32C, CRC64NVME, SHA1 or SHA256
	Type      string // FullObject or Composite
	Value     string // base64 of the big-endian bytes; Composite has "-N" behind
}

// NewHash returns the hash of an algorithm; Invalid "checksum algorithm" when
// it is not one of the five. It builds a table for CRC64NVME once per process.
func NewHash(algorithm string) (hash.Hash, error) {
	switch algorithm {
	case CRC32:
		return crc32.NewIEEE(), nil
	case CRC32C:
		return crc32.New(crc32.MakeTable(poly32C)), nil
	case CRC64NVME:
		return crc64.New(crc64.MakeTable(poly64NV)), nil
	case SHA1:
		return sha1.New(), nil
	case SHA256:
		return sha256.New(), nil
	}
	return nil, strait.Errorf(strait.Invalid, "checksum algorithm", "checksum algorithm %.20q is not one of CRC32, CRC32C, CRC64NVME, SHA1, SHA256", algorithm)
}

// UploadType returns the checksum type of an upload that asked for algorithm
// and typ ("" for the default), or Invalid "checksum type" for a pair that
// does not exist: CRC64NVME is of the full object only, a SHA never is.
func UploadType(algorithm, typ string) (string, error) {
	if algorithm == "" {
		if typ != "" {
			return "", strait.Errorf(strait.Invalid, "checksum type", "a checksum type needs a checksum algorithm")
		}
		return "", nil
	}
	if _, err := NewHash(algorithm); err != nil {
		return "", err
	}
	if typ == "" {
		typ = Composite
		if algorithm == CRC64NVME {
			typ = FullObject
		}
	}
	ok := false
	switch typ {
	case Composite:
		ok = algorithm != CRC64NVME
	case FullObject:
		ok = algorithm != SHA1 && algorithm != SHA256
	}
	if !ok {
		return "", strait.Errorf(strait.Invalid, "checksum type", "the %.20s checksum type cannot be used with the %s checksum algorithm", typ, algorithm)
	}
	return typ, nil
}

// A Joiner puts the checksums of parts together to the checksum of the whole,
// without reading the parts again.
type Joiner struct {
	algorithm, typ string
	hash           hash.Hash // Composite
	crc            uint64    // FullObject
	n              int
}

// NewJoiner takes a pair that UploadType has returned, not ("", "").
func NewJoiner(algorithm, typ string) (*Joiner, error) {
	h, err := NewHash(algorithm)
	if err != nil {
		return nil, err
	}
	return &Joiner{algorithm: algorithm, typ: typ, hash: h}, nil
}

// Add takes the next part: its own checksum as base64, and its size in bytes.
func (j *Joiner) Add(value string, size int64) error {
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(raw) != j.hash.Size() {
		return strait.Errorf(strait.Invalid, "digest", "%.100q is no %s checksum", value, j.algorithm)
	}
	j.n++
	if j.typ == Composite {
		j.hash.Write(raw)
		return nil
	}
	switch j.algorithm {
	case CRC32:
		j.crc = combine(poly32, 32, j.crc, uint64(binary.BigEndian.Uint32(raw)), size)
	case CRC32C:
		j.crc = combine(poly32C, 32, j.crc, uint64(binary.BigEndian.Uint32(raw)), size)
	case CRC64NVME:
		j.crc = combine(poly64NV, 64, j.crc, binary.BigEndian.Uint64(raw), size)
	default:
		return strait.Errorf(strait.Invalid, "checksum type", "a %s checksum cannot be joined to that of a full object", j.algorithm)
	}
	return nil
}

// Sum returns the checksum of all that was added.
func (j *Joiner) Sum() Checksum {
	c := Checksum{Algorithm: j.algorithm, Type: j.typ}
	if j.typ == Composite {
		c.Value = base64.StdEncoding.EncodeToString(j.hash.Sum(nil)) + "-" + strconv.Itoa(j.n)
		return c
	}
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], j.crc)
	c.Value = base64.StdEncoding.EncodeToString(raw[8-j.hash.Size():])
	return c
}

// combine returns the CRC of a|b from those of a and b and the length of b.
// Appending a zero bit to a message is a linear map of its CRC; the map of
// 8·size bits is built by squaring, so the cost grows with log(size). The
// inverted start and end values of these CRCs cancel out.
func combine(poly uint64, width int, a, b uint64, size int64) uint64 {
	m := make([]uint64, width) // the map of one zero bit; m[i] is the image of bit i
	m[0] = poly
	for i := 1; i < width; i++ {
		m[i] = 1 << (i - 1)
	}
	for range 3 { // one byte
		m = square(m)
	}
	for ; size > 0; size >>= 1 {
		if size&1 == 1 {
			a = apply(m, a)
		}
		m = square(m)
	}
	return a ^ b
}

func apply(m []uint64, v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 == 1 {
			sum ^= m[i]
		}
	}
	return sum
}

func square(m []uint64) []uint64 {
	s := make([]uint64, len(m))
	for i := range m {
		s[i] = apply(m, m[i])
	}
	return s
}
