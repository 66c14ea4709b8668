package object

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/crc64nvme"
	"github.com/zeebo/xxh3"

	"strait"
)

// Checksum algorithms (s3-upload.md section 5).
const (
	CRC32     = "CRC32"
	CRC32C    = "CRC32C"
	CRC64NVME = "CRC64NVME"
	SHA1      = "SHA1"
	SHA256    = "SHA256"
	SHA512    = "SHA512"
	MD5       = "MD5"
	XXHASH64  = "XXHASH64"
	XXHASH3   = "XXHASH3"
	XXHASH128 = "XXHASH128"
)

// Algorithms are all that NewHash knows.
func Algorithms() []string {
	return []string{CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, XXHASH64}
}

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
	Algorithm string // one of Algorithms
	Type      string // FullObject or Composite
	Value     string // base64 of the big-endian bytes; Composite has "-N" behind
}

// NewHash returns the hash of an algorithm; Invalid "checksum algorithm" when
// there is no such one. CRC64NVME, which the agent sends, is the
// processor's, as the other CRCs are: the standard library's is far slower.
func NewHash(algorithm string) (hash.Hash, error) {
	switch algorithm {
	case CRC32:
		return crc32.NewIEEE(), nil
	case CRC32C:
		return crc32.New(crc32.MakeTable(poly32C)), nil
	case CRC64NVME:
		return crc64nvme.New(), nil
	case SHA1:
		return sha1.New(), nil
	case SHA256:
		return sha256.New(), nil
	case SHA512:
		return sha512.New(), nil
	case MD5:
		return md5.New(), nil
	case XXHASH64:
		return xxhash.New(), nil
	case XXHASH3:
		return xxh3.New(), nil
	case XXHASH128:
		return xxh3.New128(), nil
	}
	return nil, strait.Errorf(strait.Invalid, "checksum algorithm",
		"Checksum algorithm provided is unsupported. Please try again with any of the valid types: [%s]", strings.Join(Algorithms(), ", "))
}

// UploadType returns the checksum type of an upload that asked for algorithm
// and typ ("" for the default), or Invalid "checksum type" for a pair that
// does not exist: CRC64NVME is of the full object only, and of it are CRCs only.
func UploadType(algorithm, typ string) (string, error) {
	if typ != "" && typ != Composite && typ != FullObject {
		return "", strait.Errorf(strait.Invalid, "checksum type", "there is no checksum type %.20q", typ)
	}
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
	ok := algorithm != CRC64NVME
	if typ == FullObject {
		ok = algorithm == CRC32 || algorithm == CRC32C || algorithm == CRC64NVME
	}
	if !ok {
		return "", strait.Errorf(strait.Invalid, "checksum type", "The %s checksum type cannot be used with the %s checksum algorithm.", typ, strings.ToLower(algorithm))
	}
	return typ, nil
}

// PartAlgorithm judges what the caller said of a part's checksum, as AWS does,
// and returns the algorithm that is to be computed: "" when neither upload nor
// caller has named one. (SDKs give parts a checksum also when they have named
// none for the upload.)
func PartAlgorithm(u Upload, o PutOptions) (string, error) {
	switch {
	case o.Algorithm == "" && u.Type == Composite && o.Demand:
		return "", otherSum(strings.ToLower(u.Algorithm), "null")
	case o.Algorithm == "" || o.Algorithm == u.Algorithm:
		return u.Algorithm, nil
	case u.Algorithm == "":
		return o.Algorithm, nil
	}
	return "", otherSum(strings.ToLower(u.Algorithm), strings.ToLower(o.Algorithm))
}

func otherSum(want, got string) error {
	return strait.Errorf(strait.Invalid, "checksum algorithm", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", want, got)
}

// A Joiner puts the checksums of parts together to the checksum of the whole,
// without reading the parts again.
type Joiner struct {
	algorithm, typ string
	hash           hash.Hash // Composite
	field          *field    // FullObject
	crc            uint64    // FullObject
	n              int
}

// NewJoiner takes a pair that UploadType has returned, not ("", "").
func NewJoiner(algorithm, typ string) (*Joiner, error) {
	h, err := NewHash(algorithm)
	if err != nil {
		return nil, err
	}
	j := &Joiner{algorithm: algorithm, typ: typ, hash: h}
	if typ == Composite {
		return j, nil
	}
	switch algorithm {
	case CRC32:
		j.field = newField(poly32, 32)
	case CRC32C:
		j.field = newField(poly32C, 32)
	case CRC64NVME:
		j.field = newField(poly64NV, 64)
	default:
		return nil, strait.Errorf(strait.Invalid, "checksum type", "a %s checksum cannot be joined to that of a full object", algorithm)
	}
	return j, nil
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
	var wide [8]byte
	copy(wide[8-len(raw):], raw)
	j.crc = j.field.combine(j.crc, binary.BigEndian.Uint64(wide[:]), size)
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

// A field is the ring of polynomials modulo a CRC's own, bits reflected as in
// the CRC, with x to the powers of two ready.
type field struct {
	poly, one uint64     // one is x^0: the top bit
	power     [45]uint64 // power[k] is x^(2^k); enough for 2^41 bytes
}

func newField(poly uint64, width int) *field {
	f := &field{poly: poly, one: 1 << (width - 1)}
	f.power[0] = f.one >> 1
	for k := 1; k < len(f.power); k++ {
		f.power[k] = f.times(f.power[k-1], f.power[k-1])
	}
	return f
}

// combine returns the CRC of a followed by b from those of a and b and the
// length of b in bytes: appending n zero bits multiplies by x^n, and the
// inverted start and end values of these CRCs cancel out. Its cost grows with
// log(size).
func (f *field) combine(a, b uint64, size int64) uint64 {
	for k := 3; size > 0; k, size = k+1, size>>1 {
		if size&1 == 1 {
			a = f.times(f.power[k], a)
		}
	}
	return a ^ b
}

// times multiplies two polynomials.
func (f *field) times(a, b uint64) (product uint64) {
	for m := f.one; a != 0; m >>= 1 {
		if a&m != 0 {
			product ^= b
			a &^= m
		}
		if b&1 != 0 {
			b = b>>1 ^ f.poly
		} else {
			b >>= 1
		}
	}
	return product
}
