package sigv4

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"strings"

	"strait"
)

// Limits of chunked bodies.
const (
	// MaxSignedChunk bounds a signed chunk: it is kept until its signature has
	// been checked. (Unsigned chunks pass through, of any size.)
	MaxSignedChunk = 16 << 20
	// MinSignedChunk is the least size of a signed chunk other than the last.
	MinSignedChunk = 8 << 10

	maxDecoded = 1 << 50 // bytes; beyond every object
)

// Values of x-amz-content-sha256 beside a hash (sigv4.md section 3).
const (
	unsignedPayload       = "UNSIGNED-PAYLOAD"
	streamUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

// isHash tells whether s is a SHA-256 in lower-case hexadecimal.
func isHash(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

func checkPayloadHash(value string) error {
	switch {
	case isHash(value), value == unsignedPayload, value == streamUnsignedTrailer, value == streamSigned, value == streamSignedTrailer:
		return nil
	case strings.HasPrefix(value, "STREAMING-AWS4-ECDSA-"):
		return strait.Errorf(strait.Unsupported, "payload hash value", "Chunks signed with Signature V4A are not offered here; use %s.", streamSigned)
	}
	e := strait.Errorf(strait.Invalid, "payload hash value", "x-amz-content-sha256 must be %s, %s, %s, %s or a valid sha256 value.",
		unsignedPayload, streamUnsignedTrailer, streamSigned, streamSignedTrailer)
	e.Detail = map[string]string{"ArgumentName": "x-amz-content-sha256", "ArgumentValue": printable(value)}
	return e
}

// A Body is the body of an S3 request, taken out of its framing and checked
// against what was signed.
type Body struct {
	from interface {
		io.Reader
		trailers() map[string]string
	}
	size int64
	err  error // once there is one, it stays
}

// Body returns the body of an S3 request whose Claim has been verified (it is an
// error to ask before), read from r, the body as it came. What it does depends on
// PayloadHash: a hash is compared at the end, UNSIGNED-PAYLOAD passes, STREAMING-
// values are taken out of their chunks. (Content-Length is r's affair: net/http
// reports a body that is cut off.)
func (c *Claim) Body(r io.Reader) (*Body, error) {
	if c.proven == nil || !c.proven.s3 {
		return nil, misused("Body of a claim that is not verified as S3's")
	}
	value := c.signed.bodyHash
	switch {
	case value == "" || value == unsignedPayload:
		return &Body{from: plain{r}, size: -1}, nil
	case isHash(value):
		return &Body{from: &hashed{r: r, sum: sha256.New(), want: value}, size: -1}, nil
	}
	if err := checkPayloadHash(value); err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(c.signed.decoded, 10, 64)
	if err != nil || size < 0 || size > maxDecoded || c.signed.decoded[0] == '+' {
		return nil, invalid("length required", "You must provide the x-amz-decoded-content-length HTTP header.")
	}
	d := &chunked{r: bufio.NewReaderSize(r, 32<<10), size: size, trailing: value != streamSigned}
	for name := range strings.SplitSeq(strings.ToLower(c.signed.trailer), ",") {
		if name = strings.TrimSpace(name); name != "" {
			d.announced = append(d.announced, name)
		}
	}
	if value != streamUnsignedTrailer {
		if c.proven.key == nil {
			return nil, invalid("payload hash", "Signed chunks need Signature V4.")
		}
		d.seal = &chunkSeal{key: c.proven.key, date: c.signed.date, scope: c.Scope.String(), previous: c.proven.seed}
	}
	return &Body{from: d, size: size}, nil
}

// Read returns an error instead of io.EOF when the body is not the one that was
// signed: whoever stores bytes must throw them away then. The bytes of a signed
// chunk are returned only after its signature has been checked. Before io.EOF the
// underlying reader has been read to its own.
func (b *Body) Read(p []byte) (n int, err error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, b.err = b.from.Read(p)
	return n, b.err
}

// Size is the number of bytes that Read will return in all, or -1 when the request
// does not say so inside its framing (then Content-Length says it).
func (b *Body) Size() int64 { return b.size }

// Trailer returns the trailing headers by lower-case name, such as
// "x-amz-checksum-crc32". It is complete after Read has returned io.EOF, and nil
// before.
func (b *Body) Trailer() map[string]string {
	if b.err != io.EOF {
		return nil
	}
	return b.from.trailers()
}

// plain is a body of which nothing was promised.
type plain struct{ io.Reader }

func (plain) trailers() map[string]string { return nil }

// hashed compares at the end.
type hashed struct {
	r    io.Reader
	sum  hash.Hash
	want string
}

func (*hashed) trailers() map[string]string { return nil }

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	if err != io.EOF {
		return n, err
	}
	if got := hex.EncodeToString(h.sum.Sum(nil)); got != h.want {
		return n, &strait.Error{
			Kind: strait.Invalid, Thing: "payload hash",
			Message: "The provided 'x-amz-content-sha256' header does not match what was computed.",
			Detail:  map[string]string{"ClientComputedContentSHA256": h.want, "S3ComputedContentSHA256": got},
		}
	}
	return n, io.EOF
}
