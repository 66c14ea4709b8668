package sigv4

import (
	"errors"
	"time"
)

// EmptyPayload is the SHA-256 of no bytes.
const EmptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// DefaultSkew is how far a request's clock may be from ours.
const DefaultSkew = 15 * time.Minute

// Options are the rules of the service that a request is for.
type Options struct {
	Now time.Time
	// Skew is how far a request's clock may be off; 0 is DefaultSkew.
	Skew time.Duration
	// Services are the service names that the scope may have. None is an error.
	Services []string
	// Regions are the regions that the scope may have; none allows any, because
	// clients of a custom endpoint sign with whatever region they are set to.
	Regions []string
	// S3 takes S3's rules: the path is signed as it was sent, the payload's
	// hash is what the request says of it (Body checks it), presigned URLs say
	// when they end, and errors are told in S3's words, with Detail.
	S3 bool
	// PayloadHash is the lower-case hexadecimal SHA-256 of the body (EmptyPayload
	// when there is none). It must be given except for S3.
	PayloadHash string
	// UnsignedToken lets a presigned URL carry its token outside the signature,
	// as AWS IoT's WebSocket does; one inside is accepted, too.
	UnsignedToken bool
	// Bucket is the bucket that the host names; only V2 needs it, which signs
	// /bucket/key even when the path is /key.
	Bucket string
}

// Verify returns nil when c was signed with secret under the rules of o, and at
// a time that fits. It does not know whether the key or its session is over.
func (c *Claim) Verify(secret string, o Options) error { return errors.New("not written yet") }
