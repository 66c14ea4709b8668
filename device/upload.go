package device

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait"
)

// An UploadInput says what to send where. Either File or Body and Size.
type UploadInput struct {
	File string
	Body io.ReaderAt // read several times and from several goroutines
	Size int64       // of Body

	// Key is below the prefix that the credentials are for. FullKey, if set,
	// is used as it stands instead.
	Key, FullKey string

	ContentType     string
	ContentEncoding string
	Metadata        map[string]string

	// Purpose and Duration narrow the credentials; see CredentialsOptions.
	Purpose  string
	Duration time.Duration

	// Where the function's answer does not say it, or to override it.
	Bucket, Region, Endpoint string

	// PartSize is 16 MiB when zero, at least 5 MiB; it grows so that there are at
	// most 10,000 parts. What is not longer is sent as one object.
	PartSize int64
	// Concurrency is how many parts are under way at once; 4 when zero.
	Concurrency int

	// Progress is called now and then, by one goroutine at a time, with the
	// bytes that are on the wire; retries can make it smaller again.
	Progress func(done, total int64)
}

// An UploadOutput tells what was stored.
type UploadOutput struct {
	Bucket, Key string
	Size        int64
	ETag        string
	// CRC64NVME is the checksum of the whole object, which the server has
	// verified, in base64 as S3 writes it.
	CRC64NVME string
	Parts     int // 1 for an object that was sent whole
}

// Limits of S3 (s3-upload.md, section 3).
const (
	minPart     = 5 << 20
	maxPart     = 5 << 30
	maxParts    = 10_000
	maxKey      = 1024
	defaultPart = 16 << 20
	defaultRuns = 4
	maxRuns     = 64
)

// Upload sends a file or what Body holds with credentials that it asks for,
// and again asks for when they expire on the way. It needs s3:PutObject only.
// Memory does not grow with the size. The server checks each part and the
// whole object (CRC64NVME, full object) before it is there; a failed Upload
// leaves no object, and its parts are removed where s3:AbortMultipartUpload is
// allowed.
func (c *Client) Upload(ctx context.Context, in UploadInput) (*UploadOutput, error) {
	if in.File != "" {
		f, err := os.Open(in.File)
		if err != nil {
			return nil, strait.Errorf(strait.Invalid, "file", "%w", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return nil, strait.Errorf(strait.Invalid, "file", "%s is not a regular file", in.File)
		}
		in.Body, in.Size = f, info.Size()
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	// 1. What are we given, and where does it lead?
	creds := c.Credentials(CredentialsOptions{Purpose: in.Purpose, Duration: in.Duration})
	g, err := creds.Grant(ctx)
	if err != nil {
		return nil, err
	}
	u := &upload{c: c, in: in, creds: creds, bucket: first(in.Bucket, g.Bucket), key: in.FullKey, progress: &progress{fn: in.Progress, total: in.Size}}
	if u.key == "" {
		u.key = g.Prefix + in.Key
	}
	if u.bucket == "" {
		return nil, strait.Errorf(strait.Invalid, "bucket", "the function's answer names no bucket: say which")
	}
	if len(u.key) > maxKey {
		return nil, strait.Errorf(strait.Invalid, "key", "the key has %d bytes; at most %d are allowed", len(u.key), maxKey)
	}
	if u.s3, err = c.storage(creds, first(in.Region, g.Region, c.cfg.Region), first(in.Endpoint, g.Endpoint)); err != nil {
		return nil, err
	}
	// 2. Send it.
	stop := u.progress.run()
	defer stop()
	if in.Size <= in.PartSize {
		return u.whole(ctx)
	}
	return u.inParts(ctx)
}

func first(s ...string) string {
	for _, x := range s {
		if x != "" {
			return x
		}
	}
	return ""
}

func (in *UploadInput) check() error {
	if in.PartSize == 0 {
		in.PartSize = defaultPart
	}
	if in.Concurrency == 0 {
		in.Concurrency = defaultRuns
	}
	switch {
	case in.Body == nil:
		return strait.Errorf(strait.Invalid, "file", "there is nothing to upload: give a file or a body")
	case in.Size < 0:
		return strait.Errorf(strait.Invalid, "size", "the size is negative")
	case in.Key == "" && in.FullKey == "":
		return strait.Errorf(strait.Invalid, "key", "a key is needed")
	case in.PartSize < minPart || in.PartSize > maxPart:
		return strait.Errorf(strait.Invalid, "part size", "a part must have 5 MiB to 5 GiB")
	case in.Concurrency < 1 || in.Concurrency > maxRuns:
		return strait.Errorf(strait.Invalid, "concurrency", "1 to %d parts can be under way at once", maxRuns)
	}
	for in.PartSize < maxPart && in.Size > in.PartSize*maxParts {
		in.PartSize = min(2*in.PartSize, maxPart)
	}
	if in.Size > in.PartSize*maxParts {
		return strait.Errorf(strait.TooLarge, "file", "the file has %d bytes, more than S3 takes", in.Size)
	}
	return nil
}

// upload is one Upload under way.
type upload struct {
	c           *Client
	in          UploadInput
	creds       *Credentials
	s3          *s3.Client
	bucket, key string
	progress    *progress
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// sum reads a section once before it is sent, for its checksum: it then goes
// in a header, and the same sums make the one of the whole object.
func (u *upload) sum(offset, size int64) (uint64, error) {
	h := newCRC()
	n, err := io.CopyBuffer(h, io.NewSectionReader(u.in.Body, offset, size), make([]byte, 256<<10))
	if err != nil {
		return 0, strait.Errorf(strait.Internal, "file", "read what is to be sent: %w", err)
	}
	if n != size {
		return 0, strait.Errorf(strait.Invalid, "file", "the file became shorter while it was sent")
	}
	return h.Sum64(), nil
}

func base64Sum(sum uint64) *string {
	s := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum))
	return &s
}

func (u *upload) whole(ctx context.Context) (*UploadOutput, error) {
	sum, err := u.sum(0, u.in.Size)
	if err != nil {
		return nil, err
	}
	var out *s3.PutObjectOutput
	err = u.renewing(u.progress.count(ctx, u.in.Size), func(ctx context.Context) (err error) {
		out, err = u.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &u.bucket, Key: &u.key, Body: io.NewSectionReader(u.in.Body, 0, u.in.Size), ContentLength: &u.in.Size,
			ContentType: optional(u.in.ContentType), ContentEncoding: optional(u.in.ContentEncoding), Metadata: u.in.Metadata,
			ChecksumCRC64NVME: base64Sum(sum),
		}, unsignedBody)
		return err
	})
	if err != nil {
		return nil, u.explain("put", err)
	}
	return &UploadOutput{u.bucket, u.key, u.in.Size, aws.ToString(out.ETag), *base64Sum(sum), 1}, nil
}

func (u *upload) inParts(ctx context.Context) (*UploadOutput, error) {
	var id *string
	err := u.renewing(ctx, func(ctx context.Context) error {
		out, err := u.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: &u.bucket, Key: &u.key, Metadata: u.in.Metadata,
			ContentType: optional(u.in.ContentType), ContentEncoding: optional(u.in.ContentEncoding),
			ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme, ChecksumType: types.ChecksumTypeFullObject,
		})
		if err == nil {
			id = out.UploadId
		}
		return err
	})
	if err != nil {
		return nil, u.explain("begin the upload of", err)
	}
	out, err := u.partsAndEnd(ctx, id)
	if err != nil {
		u.abort(ctx, id)
		return nil, u.explain("upload", err)
	}
	return out, nil
}

// part is one part as the end of the upload needs it.
type part struct {
	sum  uint64
	size int64
	etag *string
}

func (u *upload) partsAndEnd(ctx context.Context, id *string) (*UploadOutput, error) {
	// 1. The parts, several at once.
	parts := make([]part, (u.in.Size+u.in.PartSize-1)/u.in.PartSize)
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(u.in.Concurrency, len(parts)) {
		workers.Go(func() {
			for running.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(parts) {
					return
				}
				var err error
				if parts[i], err = u.part(running, id, i); err != nil {
					cancel(err) // the first one counts
				}
			}
		})
	}
	workers.Wait()
	if err := context.Cause(running); err != nil {
		return nil, err
	}
	// 2. The end: with the checksum of the whole, made of the parts'.
	done := make([]types.CompletedPart, len(parts))
	var sum uint64
	for i, p := range parts {
		sum = combineCRC(sum, p.sum, p.size)
		done[i] = types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: p.etag, ChecksumCRC64NVME: base64Sum(p.sum)}
	}
	var out *s3.CompleteMultipartUploadOutput
	err := u.renewing(ctx, func(ctx context.Context) (err error) {
		out, err = u.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &u.bucket, Key: &u.key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
			ChecksumCRC64NVME: base64Sum(sum), ChecksumType: types.ChecksumTypeFullObject, MpuObjectSize: &u.in.Size,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &UploadOutput{u.bucket, u.key, u.in.Size, aws.ToString(out.ETag), *base64Sum(sum), len(parts)}, nil
}

func (u *upload) part(ctx context.Context, id *string, i int) (part, error) {
	offset := int64(i) * u.in.PartSize
	p := part{size: min(u.in.PartSize, u.in.Size-offset)}
	var err error
	if p.sum, err = u.sum(offset, p.size); err != nil {
		return p, err
	}
	err = u.renewing(u.progress.count(ctx, p.size), func(ctx context.Context) error {
		out, err := u.s3.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &u.bucket, Key: &u.key, UploadId: id, PartNumber: aws.Int32(int32(i + 1)),
			Body: io.NewSectionReader(u.in.Body, offset, p.size), ContentLength: &p.size, ChecksumCRC64NVME: base64Sum(p.sum),
		}, unsignedBody)
		if err == nil {
			p.etag = out.ETag
		}
		return err
	})
	return p, err
}

// abort tries to remove the parts of an upload that failed. A device may not
// be allowed to; then the bucket's lifecycle removes them.
func (u *upload) abort(ctx context.Context, id *string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, err := u.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: id})
	if err != nil {
		u.c.cfg.Log.Info("the parts of a failed upload could not be removed", "key", u.key, "error", err)
	}
}

// maxRenewals is how often one request is repeated because its credentials
// had expired when it arrived.
const maxRenewals = 3

// renewing calls fn again with new credentials when those it used have
// expired between signing and arriving.
func (u *upload) renewing(ctx context.Context, fn func(context.Context) error) error {
	for try := 0; ; try++ {
		g, err := u.creds.Grant(ctx)
		if err != nil {
			return err
		}
		if err = fn(ctx); err == nil || try == maxRenewals {
			return err
		}
		switch errorCode(err) {
		case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
			u.creds.Invalidate(g.AccessKeyID)
		default:
			return err
		}
	}
}

func errorCode(err error) string {
	var api interface{ ErrorCode() string }
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// explain says what failed, and where to look when it was refused.
func (u *upload) explain(what string, err error) error {
	var known *strait.Error
	if errors.As(err, &known) {
		return known // the SDK wraps what the credentials failed with
	}
	if ctxErr := context.Cause(u.c.ctx); ctxErr != nil {
		return ctxErr
	}
	what = fmt.Sprintf("%s %s/%s", what, u.bucket, u.key)
	var api interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if errors.As(err, &api) {
		said := api.ErrorCode() + ": " + strings.TrimSuffix(api.ErrorMessage(), ".")
		switch api.ErrorCode() {
		case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
			return strait.Errorf(strait.Denied, "upload", "%s: refused (%s). %s", what, said, u.c.hint())
		case "NoSuchBucket":
			return strait.Errorf(strait.NotFound, "bucket", "%s: %s", what, said)
		}
		return strait.Errorf(strait.Unavailable, "upload", "%s: %s", what, said)
	}
	return strait.Errorf(strait.Unavailable, "upload", "%s: %w", what, err)
}
