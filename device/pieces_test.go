package device_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"strait/device"
)

// The check value of the catalogue of CRCs, and pieces put together.
func TestCRC(t *testing.T) {
	sum := func(p []byte) uint64 { h := device.NewCRC(); h.Write(p); return h.Sum64() }
	if got := sum([]byte("123456789")); got != 0xae8b14860a799888 {
		t.Errorf("CRC64NVME of 123456789 = %x, want ae8b14860a799888", got)
	}
	data := noise(100_000)
	for range 200 {
		a := rand.IntN(len(data))
		b := a + rand.IntN(len(data)-a+1)
		if got, want := device.CombineCRC(sum(data[:a]), sum(data[a:b]), int64(b-a)), sum(data[:b]); got != want {
			t.Fatalf("%d and %d bytes: %x, want %x", a, b-a, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a", false}, {"a", "a/b", false}, {"+/b", "a/b", true}, {"a/+", "a/b/c", false},
		{"a/#", "a/b/c", true}, {"#", "a", true}, {"#", "$aws/x", false}, {"+/x", "$aws/x", false}, {"$aws/+", "$aws/x", true},
		{"$share/g/a/+", "a/b", true}, {"a/+", "a/", true},
	} {
		if got := device.Matches(test.filter, test.topic); got != test.want {
			t.Errorf("matches(%q, %q) = %v, want %v", test.filter, test.topic, got, test.want)
		}
	}
}

// An answer is an error, a refusal, or three parts that can go in a header; an
// error never tells a part.
func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"AccessKeyId":"ASIAX","SecretAccessKey":"s3cret-s3cret","SessionToken":"t"}`))
	f.Add([]byte(`{"error":{"code":"AccessDenied","message":"no"},"clientToken":"x"}`))
	f.Add([]byte(`{"AccessKeyId":"A\nB","SecretAccessKey":"s","SessionToken":"t"}`))
	f.Add([]byte(`{"AccessKeyId":"","Expiration":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts, refused, err := device.ReadReply(data)
		for _, p := range parts {
			switch {
			case err != nil || refused:
				if p != "" {
					t.Errorf("%q: credentials besides a refusal or an error", data)
				}
			case p == "" || strings.ContainsAny(p, " \r\n\x00"):
				t.Errorf("%q: the part %q is accepted", data, p)
			}
		}
	})
}
