package sigv4_test

import (
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"strait"
	"strait/identity/sigv4"
)

const (
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	crc             = "x-amz-checksum-crc32"
)

func hexMac(key []byte, text string) string { return hex.EncodeToString(mac(key, text)) }

func readBody(t testing.TB, head, body string) (string, *sigv4.Body, error) {
	t.Helper()
	b, err := verified(t, head).Body(iotest.OneByteReader(strings.NewReader(body)))
	if err != nil {
		return "", nil, err
	}
	got, err := io.ReadAll(b)
	return string(got), b, err
}

func TestBodies(t *testing.T) {
	data := strings.Repeat("0123456789abcdef", 2000)
	sizes := []int{8192, 8192, 100000}
	for name, test := range map[string]struct{ payload, trailer string }{
		"unsigned": {unsignedTrailer, crc}, "signed": {signedChunks, ""}, "signed with trailer": {signedTrailer, crc},
	} {
		for _, data := range []string{data, "x", ""} {
			head, seed := put(test.payload, test.trailer, len(data))
			if test.payload == unsignedTrailer {
				seed = ""
			}
			var trailer []string
			if test.trailer != "" {
				trailer = []string{crc + ":AAAAAA=="}
			}
			got, b, err := readBody(t, head, frame(data, sizes, seed, trailer...))
			if err != nil || got != data {
				t.Errorf("%s: got %d bytes, %v; want %d", name, len(got), err, len(data))
			} else if test.trailer != "" && b.Trailer()[crc] != "AAAAAA==" {
				t.Errorf("%s: trailer %v", name, b.Trailer())
			}
		}
	}
	// Some encoders end the lines of a trailer with LF only.
	head, _ := put(unsignedTrailer, crc, 1)
	if got, _, err := readBody(t, head, "1\r\nx\r\n0\r\n"+crc+":AA==\n\n"); got != "x" || err != nil {
		t.Errorf("LF only: got %q, %v", got, err)
	}
}

func TestBadBodies(t *testing.T) {
	const line = crc + ":AAAAAA=="
	big := strings.Repeat("x", 9000)
	for name, test := range map[string]struct {
		payload, trailer string
		size             int
		body             func(seed string) string
		kind             strait.Kind
		thing            string
	}{
		"hash":            {hashHex("abc"), "", 3, func(string) string { return "abd" }, strait.Invalid, "payload hash"},
		"short of hash":   {hashHex("abc"), "", 3, func(string) string { return "ab" }, strait.Invalid, "payload hash"},
		"longer":          {unsignedTrailer, crc, 3, func(string) string { return frame("abcd", nil, "", line) }, strait.Invalid, "body length"},
		"shorter":         {unsignedTrailer, crc, 3, func(string) string { return frame("ab", nil, "", line) }, strait.Invalid, "body length"},
		"cut in chunk":    {unsignedTrailer, crc, 3, func(string) string { return "3\r\nab" }, strait.Invalid, "body length"},
		"cut after chunk": {unsignedTrailer, crc, 3, func(string) string { return "3\r\nabc\r\n" }, strait.Invalid, "body length"},
		"empty":           {unsignedTrailer, crc, 0, func(string) string { return "" }, strait.Invalid, "body length"},
		"goes on":         {unsignedTrailer, crc, 3, func(string) string { return frame("abc", nil, "", line) + "x" }, strait.Invalid, "body length"},
		"no trailer":      {unsignedTrailer, crc, 3, func(string) string { return frame("abc", nil, "") }, strait.Invalid, "trailer"},
		"other trailer":   {unsignedTrailer, crc, 3, func(string) string { return frame("abc", nil, "", "x-amz-checksum-crc32c:AA==") }, strait.Invalid, "trailer"},
		"trailer twice":   {unsignedTrailer, crc, 3, func(string) string { return frame("abc", nil, "", line, line) }, strait.Invalid, "trailer"},
		"not announced":   {unsignedTrailer, "", 3, func(string) string { return frame("abc", nil, "", line) }, strait.Invalid, "trailer"},
		"no colon":        {unsignedTrailer, crc, 3, func(string) string { return frame("abc", nil, "", "nothing") }, strait.Invalid, "trailer"},
		"negative":        {unsignedTrailer, crc, 3, func(string) string { return "-3\r\nabc\r\n" }, strait.Invalid, "chunk"},
		"huge":            {unsignedTrailer, crc, 3, func(string) string { return "ffffffffffffffff\r\nabc\r\n" }, strait.Invalid, "chunk"},
		"no size":         {unsignedTrailer, crc, 3, func(string) string { return "\r\nabc\r\n" }, strait.Invalid, "chunk"},
		"endless line":    {unsignedTrailer, crc, 3, func(string) string { return strings.Repeat("0", 5000) }, strait.Invalid, "chunk"},
		"no CRLF":         {unsignedTrailer, crc, 3, func(string) string { return "3\r\nabcd0\r\n" }, strait.Invalid, "chunk"},
		"chunk changed":   {signedChunks, "", 3, func(s string) string { return strings.Replace(frame("abc", nil, s), "abc", "abd", 1) }, strait.Unauthenticated, "chunk signature"},
		"other seed":      {signedChunks, "", 3, func(string) string { return frame("abc", nil, hashHex("")) }, strait.Unauthenticated, "chunk signature"},
		"not signed":      {signedChunks, "", 3, func(string) string { return frame("abc", nil, "") }, strait.Invalid, "chunk"},
		"chunk too small": {signedChunks, "", 6, func(s string) string { return frame("abcdef", []int{3, 3}, s) }, strait.Invalid, "chunk size"},
		"chunk left out": {signedChunks, "", 18000, func(s string) string {
			whole := frame(big+big, []int{9000, 9000}, s)
			return whole[:len(big)+91] + whole[2*(len(big)+91):]
		}, strait.Invalid, "chunk"},
		"trailer changed": {signedTrailer, crc, 3, func(s string) string { return strings.Replace(frame("abc", nil, s, line), "AAAAAA", "AAAAAB", 1) }, strait.Unauthenticated, "chunk signature"},
		"trailer not signed": {signedTrailer, crc, 3, func(s string) string {
			f, _, _ := strings.Cut(frame("abc", nil, s, line), "x-amz-trailer-sig")
			return f
		}, strait.Unauthenticated, "chunk signature"},
	} {
		head, seed := put(test.payload, test.trailer, test.size)
		_, b, err := readBody(t, head, test.body(seed))
		if name == "chunk left out" { // wherever the cut falls, it is refused
			if err == nil {
				t.Error("a chunk left out was taken")
			}
			continue
		}
		wantError(t, name, err, test.kind, test.thing)
		if b != nil && b.Trailer() != nil {
			t.Errorf("%s: a trailer beside an error", name)
		}
	}
}

// A signed chunk larger than the buffer is refused before it is read.
func TestSignedChunkLimit(t *testing.T) {
	head, _ := put(signedChunks, "", 1<<40)
	_, _, err := readBody(t, head, "1000001;chunk-signature="+hashHex("")+"\r\n")
	wantError(t, "16 MiB and a byte", err, strait.Invalid, "chunk")
}

func TestPayloadValues(t *testing.T) {
	for value, want := range map[string]struct {
		kind  strait.Kind
		thing string
	}{
		"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD": {strait.Unsupported, "payload hash value"},
		"STREAMING-AWS4-HMAC-SHA256-EVENTS":        {strait.Invalid, "payload hash value"},
		"unsigned-payload":                         {strait.Invalid, "payload hash value"},
		strings.ToUpper(hashHex("")):               {strait.Invalid, "payload hash value"},
	} {
		head, _ := put(value, "", 0)
		err := read(t, wire(t, head)).Verify(exampleSecret, s3Options(exampleTime))
		wantError(t, value, err, want.kind, want.thing)
	}
	head, _ := put(unsignedTrailer, "", 0)
	_, err := sigv4.Read(wire(t, strings.Replace(head, "x-amz-decoded-content-length:0", "x-amz-decoded-content-length:", 1)))
	if err != nil {
		t.Fatal(err)
	}
}

// The connection's own error is not ours to change.
func TestConnectionError(t *testing.T) {
	head, _ := put(unsignedTrailer, crc, 3)
	b, err := verified(t, head).Body(io.MultiReader(strings.NewReader("3\r\na"), iotest.ErrReader(errGone)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(b); !errors.Is(err, errGone) {
		t.Errorf("ReadAll: got %v, want %v", err, errGone)
	}
}

var errGone = errors.New("gone")

// Whatever is changed on the wire, bytes that Read returns from signed chunks are
// a beginning of what was signed, and io.EOF means all of it and the trailer.
func FuzzSignedBody(f *testing.F) {
	f.Add(uint16(5), uint16(3), uint16(0), byte(0), byte(0), true)
	f.Add(uint16(24000), uint16(9000), uint16(100), byte('x'), byte(1), false)
	f.Add(uint16(24000), uint16(8192), uint16(24300), byte('\n'), byte(2), true)
	f.Fuzz(func(t *testing.T, length, size, at uint16, with, how byte, trailing bool) {
		// Made here, because the fuzzer is slow with long inputs.
		data := strings.Repeat("0123456789abcdefghi", int(length)/19+1)[:length]
		payload, announced, trailer := signedChunks, "", []string(nil)
		if trailing {
			payload, announced, trailer = signedTrailer, crc, []string{crc + ":AAAAAA=="}
		}
		head, seed := put(payload, announced, len(data))
		n := max(int(size), sigv4.MinSignedChunk)
		body := []byte(frame(data, []int{n, n, n, n}, seed, trailer...))
		i := int(at) % len(body)
		switch how % 4 {
		case 0:
			body[i] = with
		case 1:
			body = append(body[:i:i], body[i+1:]...)
		case 2:
			body = append(body[:i:i], append([]byte{with}, body[i:]...)...)
		case 3:
			body = body[:i]
		}
		b, err := verified(t, head).Body(iotest.HalfReader(strings.NewReader(string(body))))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if !strings.HasPrefix(data, string(got)) {
			t.Fatalf("released %q, which was never signed", got)
		}
		if err == nil && (string(got) != data || trailing && b.Trailer()[crc] != "AAAAAA==") {
			t.Fatalf("took %d of %d bytes, trailer %v", len(got), len(data), b.Trailer())
		}
	})
}

// Any bytes at all: no panic, never more than announced, and the same however the
// reads are split.
func FuzzChunked(f *testing.F) {
	f.Add(frame("hello", []int{2}, "", crc+":AAAAAA=="), uint8(5))
	f.Add("0\r\n\r\n", uint8(0))
	f.Add("1\r\nx\r\n0\r\nx-amz-checksum-crc32:a\n\n", uint8(1))
	f.Fuzz(func(t *testing.T, body string, size uint8) {
		head, _ := put(unsignedTrailer, crc, int(size))
		c := verified(t, head)
		run := func(r io.Reader) (string, string) {
			b, err := c.Body(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(b)
			if len(got) > int(size) || err == nil && len(got) != int(size) {
				t.Fatalf("%d bytes of %d announced, %v", len(got), size, err)
			}
			if err != nil {
				return string(got), err.Error()
			}
			return string(got), b.Trailer()[crc]
		}
		a, aErr := run(strings.NewReader(body))
		b, bErr := run(iotest.OneByteReader(iotest.DataErrReader(strings.NewReader(body))))
		if a != b || aErr != bErr {
			t.Fatalf("split reads differ: %q %q, %q %q", a, aErr, b, bErr)
		}
	})
}
