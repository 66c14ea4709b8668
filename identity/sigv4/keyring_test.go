package sigv4_test

import (
	"fmt"
	"strings"
	"testing"

	"strait"
	"strait/identity/sigv4"
)

// A KeyRing changes nothing of who is believed: a key is found by its secret
// and its scope only, and what is forgotten is derived again.
func TestKeyRing(t *testing.T) {
	ring := new(sigv4.KeyRing)
	o := s3Options(exampleTime)
	o.Keys, o.Regions = ring, nil
	text, _ := put("UNSIGNED-PAYLOAD", "", 0)
	verify := func(text, secret string) error { return read(t, wire(t, text)).Verify(secret, o) }
	for round := range 2 {
		if err := verify(text, exampleSecret); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		wantError(t, "another secret", verify(text, exampleSecret+"x"), strait.Unauthenticated, "signature")
		// The same signature with another scope, of which the ring knows no key.
		wantError(t, "another region", verify(strings.ReplaceAll(text, "us-east-1", "eu-west-1"), exampleSecret), strait.Unauthenticated, "signature")
	}
}

func BenchmarkVerify(b *testing.B) {
	text, _ := put("UNSIGNED-PAYLOAD", "", 0)
	for _, ring := range []*sigv4.KeyRing{nil, new(sigv4.KeyRing)} {
		b.Run(fmt.Sprintf("ring=%t", ring != nil), func(b *testing.B) {
			o := s3Options(exampleTime)
			o.Keys = ring
			c := read(b, wire(b, text))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Verify(exampleSecret, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
