package sigv4

import (
	"errors"
	"io"
)

// Limits of chunked bodies.
const (
	// MaxSignedChunk bounds a signed chunk: it is kept until its signature has
	// been checked. (Unsigned chunks pass through, of any size.)
	MaxSignedChunk = 16 << 20
	// MinSignedChunk is the least size of a signed chunk other than the last.
	MinSignedChunk = 8 << 10
)

// A Body is the body of an S3 request, taken out of its framing and checked
// against what was signed.
type Body struct{}

// Body returns the body of a request whose Claim has been verified (it is an
// error to ask before), read from r, the body as it came. What it does depends on
// PayloadHash: a hash is compared at the end, UNSIGNED-PAYLOAD passes, STREAMING-
// values are taken out of their chunks.
func (c *Claim) Body(r io.Reader) (*Body, error) { return nil, errors.New("not written yet") }

// Read returns an error instead of io.EOF when the body is not the one that was
// signed: whoever stores bytes must throw them away then. The bytes of a signed
// chunk are returned only after its signature has been checked. Before io.EOF the
// underlying reader has been read to its own.
func (b *Body) Read(p []byte) (int, error) { return 0, errors.New("not written yet") }

// Size is the number of bytes that Read will return in all, or -1 when the request
// does not say so inside its framing (then Content-Length says it).
func (b *Body) Size() int64 { return -1 }

// Trailer returns the trailing headers by lower-case name, such as
// "x-amz-checksum-crc32". It is complete after Read has returned io.EOF, and nil
// before.
func (b *Body) Trailer() map[string]string { return nil }
