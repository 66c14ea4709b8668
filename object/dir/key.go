package dir

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The keys of facts. A bucket's name never holds NUL, so the first NUL ends
// it and no two names share a key; an object's key may hold anything.
const (
	bucketPrefix    = "object/b/" // name
	objectPrefix    = "object/o/" // bucket NUL key
	uploadPrefix    = "object/u/" // bucket NUL key NUL id
	partPrefix      = "object/p/" // id five-digit-number
	tombstonePrefix = "object/t/" // id
)

const idSize = 16 // bytes; twice as many hex digits

// An id names a version of an object, an upload or a part's bytes. It is
// never used twice.
type id [idSize]byte

// newID returns an id that sorts by time (48 bits of milliseconds) and cannot
// be guessed (80 random bits).
func newID(now time.Time) (v id) {
	rand.Read(v[6:]) // never fails, crypto/rand
	ms := now.UnixMilli()
	for i := range 6 {
		v[i] = byte(ms >> (8 * (5 - i)))
	}
	return v
}

func (v id) String() string { return hex.EncodeToString(v[:]) }

// parseID takes only what String has returned.
func parseID(s string) (v id, ok bool) {
	if len(s) != 2*idSize || strings.ToLower(s) != s {
		return v, false
	}
	_, err := hex.Decode(v[:], []byte(s))
	return v, err == nil
}

func bucketKey(name string) string        { return bucketPrefix + name }
func objectsOf(bucket string) string      { return objectPrefix + bucket + "\x00" }
func objectKey(bucket, key string) string { return objectsOf(bucket) + key }
func uploadsOf(bucket string) string      { return uploadPrefix + bucket + "\x00" }
func uploadKey(bucket, key string, v id) string {
	return uploadsOf(bucket) + key + "\x00" + v.String()
}
func tombstoneKey(v id) string        { return tombstonePrefix + v.String() }
func partsOf(v id) string             { return partPrefix + v.String() }
func partKey(v id, number int) string { return partsOf(v) + fmt.Sprintf("%05d", number) }

// splitObjectKey undoes objectKey.
func splitObjectKey(fact string) (bucket, key string, ok bool) {
	return strings.Cut(strings.TrimPrefix(fact, objectPrefix), "\x00")
}

// splitUploadKey undoes uploadKey. The id has a fixed length, so a key that
// itself holds NUL is no trouble.
func splitUploadKey(fact string) (bucket, key string, v id, ok bool) {
	bucket, rest, ok := strings.Cut(strings.TrimPrefix(fact, uploadPrefix), "\x00")
	n := len(rest) - 2*idSize - 1
	if !ok || n < 0 || rest[n] != 0 {
		return "", "", v, false
	}
	v, ok = parseID(rest[n+1:])
	return bucket, rest[:n], v, ok
}

// splitPartKey undoes partKey.
func splitPartKey(fact string) (v id, number int, ok bool) {
	rest := strings.TrimPrefix(fact, partPrefix)
	if len(rest) != 2*idSize+5 {
		return v, 0, false
	}
	if v, ok = parseID(rest[:2*idSize]); !ok {
		return v, 0, false
	}
	number, err := strconv.Atoi(rest[2*idSize:])
	return v, number, err == nil && number > 0
}
