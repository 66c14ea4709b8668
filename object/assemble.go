package object

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"strings"

	"strait"
)

// InOrder judges by itself the list of parts that Complete is given.
func InOrder(parts []CompletePart) error {
	if len(parts) == 0 {
		return strait.Errorf(strait.Invalid, "part", "at least one part must be named")
	}
	last := 0
	for _, p := range parts {
		if p.Number < 1 || p.Number > MaxParts {
			return noPart(p.Number)
		}
		if p.Number <= last {
			return strait.Errorf(strait.Invalid, "part order", "the list of parts was not in ascending order of part numbers")
		}
		last = p.Number
	}
	return nil
}

func noPart(number int) error {
	err := strait.Errorf(strait.Invalid, "part", "part %d could not be found, or its ETag or checksum is another one", number)
	err.Detail = map[string]string{"PartNumber": strconv.Itoa(number)}
	return err
}

// Assembled is what the parts of an upload make together.
type Assembled struct {
	Size     int64
	ETag     string
	Checksum Checksum // zero when the upload has no algorithm
}

// Assemble judges the parts that Complete is given, which are InOrder, by those
// that are stored, and puts their sums together. Each home calls it before it
// changes anything. Algorithm and typ are the upload's.
func Assemble(parts []CompletePart, stored map[int]Part, algorithm, typ string, o CompleteOptions) (a Assembled, err error) {
	demand, named := typ == Composite, algorithm != ""
	if algorithm == "" && allHave(parts, stored, CRC64NVME) {
		algorithm, typ = CRC64NVME, FullObject // what the home has computed by itself
	}
	if err := sameType(typ, o.Type); err != nil {
		return a, err
	}
	// 1. Every part is the one that the caller means.
	for _, c := range parts {
		p, ok := stored[c.Number]
		if !ok || p.ETag != c.ETag {
			return a, noPart(c.Number)
		}
		switch {
		case c.Checksum == "" && demand:
			return a, strait.Errorf(strait.Invalid, "part checksum", "The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.",
				strings.ToLower(algorithm), c.Number)
		case c.Checksum == "":
		case or(c.Algorithm, algorithm) == p.Checksum.Algorithm:
			if c.Checksum != p.Checksum.Value {
				return a, noPart(c.Number)
			}
		case named:
			return a, strait.Errorf(strait.Invalid, "digest", "The %s you specified for part %d did not match what we received.",
				strings.ToLower(or(c.Algorithm, algorithm)), c.Number)
		}
	}
	for i, c := range parts {
		p := stored[c.Number]
		if p.Size < MinPart && i < len(parts)-1 {
			return a, tooSmall(c, p.Size)
		}
		a.Size += p.Size
	}
	if o.Size >= 0 && o.Size != a.Size {
		return a, strait.Errorf(strait.Invalid, "object size", "the object has %d bytes, not the %d that were announced", a.Size, o.Size)
	}

	// 2. The sums of the whole.
	if a.ETag, err = UploadETag(parts); err != nil {
		return a, err
	}
	if algorithm != "" {
		j, err := NewJoiner(algorithm, typ)
		if err != nil {
			return a, err
		}
		for _, c := range parts {
			p := stored[c.Number]
			if err := j.Add(p.Checksum.Value, p.Size); err != nil { // it was computed when it was stored
				return a, &strait.Error{Kind: strait.Internal, Thing: "damaged object", Message: "The checksum of a part is damaged.", Err: err}
			}
		}
		a.Checksum = j.Sum()
	}
	judged := named || or(o.Algorithm, algorithm) == a.Checksum.Algorithm
	if o.Checksum != "" && judged && (o.Checksum != a.Checksum.Value || or(o.Algorithm, algorithm) != a.Checksum.Algorithm) {
		return a, strait.Errorf(strait.Invalid, "digest", "The %s you specified did not match the calculated checksum.", or(or(o.Algorithm, algorithm), "checksum"))
	}
	return a, nil
}

// allHave tells whether every part was stored with a checksum of algorithm.
func allHave(parts []CompletePart, stored map[int]Part, algorithm string) bool {
	for _, c := range parts {
		if stored[c.Number].Checksum.Algorithm != algorithm {
			return false
		}
	}
	return true
}

// sameType compares the type that Complete names with the upload's.
func sameType(typ, named string) error {
	typ = or(typ, FullObject)
	switch {
	case named == "" || named == typ:
		return nil
	case named != Composite && named != FullObject:
		return strait.Errorf(strait.Invalid, "checksum type", "there is no checksum type %.20q", named)
	}
	return strait.Errorf(strait.Invalid, "checksum type", "The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", typ)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// UploadETag is the ETag of an object made of parts: the MD5 of their MD5s, and
// how many they are.
func UploadETag(parts []CompletePart) (string, error) {
	digest := md5.New()
	for _, c := range parts {
		sum, err := hex.DecodeString(c.ETag)
		if err != nil || len(sum) != md5.Size {
			return "", noPart(c.Number)
		}
		digest.Write(sum)
	}
	return hex.EncodeToString(digest.Sum(nil)) + "-" + strconv.Itoa(len(parts)), nil
}

func tooSmall(c CompletePart, size int64) error {
	err := strait.Errorf(strait.Invalid, "part size", "part %d is smaller than the minimum allowed size", c.Number)
	err.Detail = map[string]string{
		"ProposedSize":   strconv.FormatInt(size, 10),
		"MinSizeAllowed": strconv.Itoa(MinPart),
		"PartNumber":     strconv.Itoa(c.Number),
		"ETag":           c.ETag,
	}
	return err
}
