package object_test

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"strait"
	"strait/object"
)

func sum(t *testing.T, algorithm string, b []byte) string {
	t.Helper()
	h, err := object.NewHash(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(b)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Check values of the CRC catalogue for "123456789".
func TestHashCheckValues(t *testing.T) {
	for algorithm, want := range map[string][]byte{
		object.CRC32:     {0xcb, 0xf4, 0x39, 0x26},
		object.CRC32C:    {0xe3, 0x06, 0x92, 0x83},
		object.CRC64NVME: {0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88},
	} {
		h, _ := object.NewHash(algorithm)
		h.Write([]byte("123456789"))
		if got := h.Sum(nil); !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", algorithm, got, want)
		}
	}
}

func TestJoinedFullObjectEqualsOneHash(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, algorithm := range []string{object.CRC32, object.CRC32C, object.CRC64NVME} {
		for range 50 {
			j, err := object.NewJoiner(algorithm, object.FullObject)
			if err != nil {
				t.Fatal(err)
			}
			var all []byte
			for range r.IntN(6) {
				part := make([]byte, r.IntN(5000)*r.IntN(2))
				for i := range part {
					part[i] = byte(r.Uint32())
				}
				all = append(all, part...)
				if err := j.Add(sum(t, algorithm, part), int64(len(part))); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := j.Sum().Value, sum(t, algorithm, all); got != want {
				t.Fatalf("%s of %d bytes: joined %s, want %s", algorithm, len(all), got, want)
			}
		}
	}
}

func TestJoinedComposite(t *testing.T) {
	for _, algorithm := range []string{object.CRC32, object.CRC32C, object.SHA1, object.SHA256} {
		j, err := object.NewJoiner(algorithm, object.Composite)
		if err != nil {
			t.Fatal(err)
		}
		var raw []byte
		for _, p := range []string{"one", "two", "three"} {
			v := sum(t, algorithm, []byte(p))
			b, _ := base64.StdEncoding.DecodeString(v)
			raw = append(raw, b...)
			if err := j.Add(v, int64(len(p))); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := j.Sum().Value, sum(t, algorithm, raw)+"-3"; got != want {
			t.Errorf("%s: got %s, want %s", algorithm, got, want)
		}
		if err := j.Add("AAA", 1); strait.KindOf(err) != strait.Invalid {
			t.Errorf("%s: a wrong value gives %v", algorithm, err)
		}
	}
}

func TestUploadType(t *testing.T) {
	for _, c := range []struct{ algorithm, typ, want string }{
		{"", "", ""},
		{"", object.Composite, "error"},
		{object.CRC32, "", object.Composite},
		{object.CRC32, object.FullObject, object.FullObject},
		{object.CRC64NVME, "", object.FullObject},
		{object.CRC64NVME, object.Composite, "error"},
		{object.SHA256, "", object.Composite},
		{object.SHA256, object.FullObject, "error"},
		{object.CRC32, "x", "error"},
		{object.SHA512, "", object.Composite},
		{object.XXHASH3, object.FullObject, "error"},
		{"MD4", "", "error"},
	} {
		got, err := object.UploadType(c.algorithm, c.typ)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("UploadType(%q, %q): got %q, want %q", c.algorithm, c.typ, got, c.want)
		}
	}
}

func TestValidBucket(t *testing.T) {
	for _, name := range []string{"abc", "a-b.c", "123", strings.Repeat("a", 63), "1.2.3.4.5"} {
		if err := object.ValidBucket(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "ab", strings.Repeat("a", 64), "Abc", "a_c", "-ab", "ab-", ".ab", "a..b",
		"1.2.3.4", "xn--abc", "sthree-a", "a-s3alias", "a--ol-s3", "a\x00b", "a/b"} {
		if err := object.ValidBucket(name); strait.KindOf(err) != strait.Invalid {
			t.Errorf("%q: got %v, want Invalid", name, err)
		}
	}
}

func TestValidKey(t *testing.T) {
	for _, key := range []string{"/", "a//b", "a/../b", "..", "\x00", " ", strings.Repeat("é", 512)} {
		if err := object.ValidKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"", "\xff", "a\xc3", strings.Repeat("a", 1025)} {
		if err := object.ValidKey(key); strait.KindOf(err) != strait.Invalid {
			t.Errorf("%q: got %v, want Invalid", key, err)
		}
	}
}
