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
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
)

// Limits of S3 (s3-upload.md, section 3).
const (
	minPart  = 5 << 20
	maxPart  = 5 << 30
	maxParts = 10_000
	maxKey   = 1024
	maxRuns  = 64
	// wholeUpTo is what is sent as one object when the size of parts is adapted.
	wholeUpTo       = 8 << 20
	defaultPatience = 10 * time.Minute
)

// Upload sends a file or what Body holds with credentials that it asks for,
// and again asks for when they expire on the way. It needs s3:PutObject only.
// Memory does not grow with the size. The server checks each part and the
// whole object (CRC64NVME, full object) before it is there; a failed Upload
// leaves no object. Its parts are removed where s3:AbortMultipartUpload is
// allowed, unless a journal waits to go on with them.
func (c *Client) Upload(ctx context.Context, in UploadInput) (*UploadOutput, error) {
	return c.up.Upload(ctx, in)
}

// Upload is like Client.Upload.
func (c *Uploader) Upload(ctx context.Context, in UploadInput) (*UploadOutput, error) {
	if in.File != "" {
		// Looked at before it is opened: a named pipe would wait for its writer.
		info, err := os.Stat(in.File)
		if err != nil {
			return nil, strait.Errorf(strait.Invalid, "file", "%w", err)
		}
		if !info.Mode().IsRegular() {
			return nil, strait.Errorf(strait.Invalid, "file", "%s is not a regular file", in.File)
		}
		f, err := os.Open(in.File)
		if err != nil {
			return nil, strait.Errorf(strait.Invalid, "file", "%w", err)
		}
		defer f.Close()
		in.Body, in.Size = f, info.Size()
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	u, err := c.upload(ctx, in)
	if err != nil {
		return nil, err
	}
	stop := u.progress.run()
	defer stop()
	return u.send(ctx)
}

func (in *UploadInput) check() error {
	if in.Patience <= 0 {
		in.Patience = defaultPatience
	}
	switch {
	case in.Body == nil:
		return strait.Errorf(strait.Invalid, "file", "there is nothing to upload: give a file or a body")
	case in.Size < 0:
		return strait.Errorf(strait.Invalid, "size", "the size is negative")
	}
	if in.Size > maxObject {
		return strait.Errorf(strait.TooLarge, "file", "the file has %d bytes, more than S3 takes", in.Size)
	}
	return in.checkWay()
}

// maxObject is S3's limit (s3-upload.md, 3).
const maxObject = int64(maxParts) * maxPart

func (in *UploadInput) checkWay() error {
	switch {
	case in.Key == "" && in.FullKey == "":
		return strait.Errorf(strait.Invalid, "key", "a key is needed")
	case in.PartSize != 0 && (in.PartSize < minPart || in.PartSize > maxPart):
		return strait.Errorf(strait.Invalid, "part size", "a part must have 5 MiB to 5 GiB")
	case in.Concurrency < 0 || in.Concurrency > maxRuns:
		return strait.Errorf(strait.Invalid, "concurrency", "1 to %d parts can be under way at once", maxRuns)
	case !isValue(in.ContentType):
		return strait.Errorf(strait.Invalid, "content type", "the content type %q cannot be sent in a header", in.ContentType)
	case !isValue(in.ContentEncoding):
		return strait.Errorf(strait.Invalid, "content encoding", "the content encoding %q cannot be sent in a header", in.ContentEncoding)
	}
	for name, v := range in.Metadata {
		if name == "" || strings.ContainsFunc(name, notInName) || !isValue(v) {
			return strait.Errorf(strait.Invalid, "metadata", "the metadata %q=%q cannot be sent in a header", name, v)
		}
	}
	return nil
}

// isValue tells whether v can be a header's value (RFC 9110, 5.5); the HTTP
// client would call it an error of the network, and such are tried again.
func isValue(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// notInName tells whether r cannot be in a header's name (RFC 9110, 5.6.2).
func notInName(r rune) bool {
	alnum := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// upload is one Upload under way.
type upload struct {
	c                     *Uploader
	in                    UploadInput
	creds                 *Credentials
	s3                    *s3.Client
	bucket, key, endpoint string
	progress              *progress
	gate                  *gate
	modified              time.Time // of in.File, when its size was taken
	journal               *journal  // nil: none

	mu      sync.Mutex // of plan, journal and what follows
	failing time.Time  // since when nothing succeeded
	doubted int        // the Grant that was taken for an old answer; 0: none
}

// doubt tells whether refused credentials may be an old answer's. That is
// believed of one answer only: when the next one is refused, too, it is so.
func (u *upload) doubt(g Grant) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.doubted == 0 {
		u.doubted = g.nth
	}
	return u.doubted == g.nth
}

// upload finds out what the device is given, and where it leads.
func (c *Uploader) upload(ctx context.Context, in UploadInput) (*upload, error) {
	creds := c.grants(CredentialsOptions{Purpose: in.Purpose, Duration: in.Duration})
	u := &upload{c: c, in: in, creds: creds, gate: newGate(in.Concurrency), progress: &progress{fn: in.Progress}}
	u.progress.restart(in.Size)
	var g Grant
	err := u.try(ctx, func(ctx context.Context) (err error) {
		g, err = creds.Grant(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	u.bucket, u.key, u.endpoint = first(in.Bucket, g.Bucket), in.FullKey, first(in.Endpoint, g.Endpoint)
	if u.key == "" {
		u.key = g.Prefix + in.Key
	}
	if u.bucket == "" {
		return nil, strait.Errorf(strait.Invalid, "bucket", "the function's answer names no bucket: say which")
	}
	if len(u.key) > maxKey {
		return nil, strait.Errorf(strait.Invalid, "key", "the key has %d bytes; at most %d are allowed", len(u.key), maxKey)
	}
	if !utf8.ValidString(u.key) {
		return nil, strait.Errorf(strait.Invalid, "key", "the key %q is not UTF-8, as S3 wants it: name the file otherwise", u.key)
	}
	if u.s3, err = c.storage(creds, first(in.Region, g.Region, c.cfg.Region), u.endpoint); err != nil {
		return nil, err
	}
	return u, nil
}

// say tells the owner.
func (u *upload) say(kind EventKind, err error, format string, args ...any) {
	if u.in.Say != nil {
		u.in.Say(Event{kind, fmt.Sprintf(format, args...), err})
	}
}

func (u *upload) succeeded() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failing = time.Time{}
}

// silence is how long nothing has succeeded.
func (u *upload) silence() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failing.IsZero() {
		u.failing = time.Now()
	}
	return time.Since(u.failing)
}

// An anewError asks to begin from the first byte.
type anewError struct {
	why   string
	cause error
}

func (e *anewError) Error() string { return e.why }
func (e *anewError) Unwrap() error { return e.cause }

// maxAnew is how often an upload begins anew: a file that is written to all the
// time is never whole.
const maxAnew = 3

func (u *upload) send(ctx context.Context) (*UploadOutput, error) {
	if u.in.Journal != "" {
		var err error
		if u.journal, err = openJournal(u.in.Journal); err != nil {
			return nil, err
		}
		defer func() {
			if u.journal != nil {
				u.journal.close()
			}
		}()
	}
	for n := 0; ; n++ {
		if err := u.look(); err != nil {
			return nil, err
		}
		out, err := u.once(ctx)
		var anew *anewError
		switch {
		case err == nil:
			u.ended(out)
			return out, nil
		case errors.As(err, &anew) && n < maxAnew:
			u.say(Restarted, anew.cause, "%s: sending it from the beginning", anew.why)
		case errors.As(err, &anew):
			return nil, strait.Errorf(strait.Conflict, "file", "upload %s/%s: %s, again and again", u.bucket, u.key, anew.why)
		default:
			return nil, u.explain("upload", err)
		}
	}
}

// look takes the file's size and time.
func (u *upload) look() error {
	f, ok := u.in.Body.(*os.File)
	if !ok || u.in.File == "" {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return strait.Errorf(strait.Invalid, "file", "%w", err)
	}
	u.in.Size, u.modified = info.Size(), info.ModTime()
	u.progress.restart(u.in.Size)
	return nil
}

// changed tells whether the file is no more what look saw.
func (u *upload) changed() bool {
	f, ok := u.in.Body.(*os.File)
	if !ok || u.in.File == "" {
		return false
	}
	info, err := f.Stat()
	return err != nil || info.Size() != u.in.Size || !info.ModTime().Equal(u.modified)
}

func (u *upload) once(ctx context.Context) (*UploadOutput, error) {
	p, err := u.resume(ctx)
	if err != nil {
		return nil, err
	}
	if u.journal != nil && u.journal.Done != nil {
		u.say(Found, nil, "it was stored before, at %s", u.journal.Begin.At.Format(time.RFC3339))
		u.progress.done.Store(u.in.Size)
		return u.journal.Done, nil
	}
	limit := u.in.PartSize
	if limit == 0 {
		limit = wholeUpTo
	}
	if p == nil && u.in.Size <= limit {
		return u.whole(ctx)
	}
	return u.inParts(ctx, p)
}

// ended removes the journal, or leaves it with the proof.
func (u *upload) ended(out *UploadOutput) {
	j := u.journal
	if j == nil || u.in.KeepJournal && j.Begin != nil {
		return
	}
	u.journal = nil
	if err := j.remove(); err != nil {
		u.c.cfg.Log.Warn("the journal of a finished upload could not be removed", "file", j.path, "error", err)
	}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// sum reads a section once before it is sent, for its checksum: it then goes
// in a header, and the same sums make the one of the whole object.
func (u *upload) sum(body io.ReaderAt, offset, size int64) (uint64, error) {
	h := newCRC()
	n, err := io.CopyBuffer(h, io.NewSectionReader(body, offset, size), make([]byte, 64<<10))
	if err != nil {
		return 0, strait.Errorf(strait.Internal, "file", "read what is to be sent: %w", err)
	}
	if n != size {
		if u.changed() {
			return 0, &anewError{why: "the file became shorter while it was sent"}
		}
		return 0, strait.Errorf(strait.Invalid, "file", "the file became shorter while it was sent")
	}
	return h.Sum64(), nil
}

func base64Sum(sum uint64) *string {
	s := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum))
	return &s
}

// same tells whether the server's checksum, if it told one, is ours.
func same(theirs *string, ours uint64) error {
	if theirs != nil && *theirs != "" && *theirs != *base64Sum(ours) {
		return errDamaged
	}
	return nil
}

func (u *upload) whole(ctx context.Context) (*UploadOutput, error) {
	var sum uint64
	var out *s3.PutObjectOutput
	err := u.try(u.progress.count(ctx, u.in.Size), func(ctx context.Context) (err error) {
		// Each time anew: the file may have changed since.
		if sum, err = u.sum(u.in.Body, 0, u.in.Size); err != nil {
			return err
		}
		out, err = u.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &u.bucket, Key: &u.key, Body: io.NewSectionReader(u.in.Body, 0, u.in.Size), ContentLength: &u.in.Size,
			ContentType: optional(u.in.ContentType), ContentEncoding: optional(u.in.ContentEncoding), Metadata: u.in.Metadata,
			ChecksumCRC64NVME: base64Sum(sum),
		}, unsignedBody)
		if err == nil {
			err = same(out.ChecksumCRC64NVME, sum)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if u.changed() {
		return nil, &anewError{why: "the file changed while it was sent"}
	}
	return &UploadOutput{u.bucket, u.key, u.in.Size, aws.ToString(out.ETag), *base64Sum(sum), 1}, nil
}
