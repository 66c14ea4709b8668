package device

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// about is what is fixed when an upload in parts begins.
func (in *UploadInput) about() string {
	b, err := json.Marshal([]any{in.ContentType, in.ContentEncoding, in.Metadata})
	if err != nil {
		panic(err) // cannot happen: strings only
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// resume makes a plan of what the journal remembers, nil when there is nothing
// to go on with. A former upload of something else is ended.
func (u *upload) resume(ctx context.Context) (*plan, error) {
	if u.journal == nil || u.journal.Begin == nil {
		return nil, nil
	}
	b := u.journal.Begin
	p := newPlan(u.in.Size, u.in.PartSize)
	var why string
	switch {
	case b.Size != u.in.Size || b.Modified != u.modified.UnixNano() && u.in.File != "":
		why = "the file changed since"
	case b.Bucket != u.bucket || b.Key != u.key || b.Endpoint != u.endpoint && u.journal.Done != nil:
		// An upload that is not finished may go on at another address: it is the
		// same server, or one that knows nothing of the upload and says so.
		why = "it went to another place"
	case b.About != u.in.about():
		why = "its type, encoding or metadata were others"
	case !p.resume(u.journal.Parts):
		why = "its parts do not fit together"
	case u.journal.Done != nil:
		return p, nil
	default:
		u.progress.done.Store(p.sent())
		u.say(Resumed, nil, "going on with the upload of %s: %d of %d bytes are there already, in %d parts", b.At.Format(time.RFC3339), p.sent(), u.in.Size, len(u.journal.Parts))
		return p, nil
	}
	if u.journal.Done == nil {
		u.say(Restarted, nil, "an upload that was begun at %s is given up: %s", b.At.Format(time.RFC3339), why)
		u.abort(ctx, b)
	}
	u.record(func(j *journal) error { return j.forget() })
	return nil, nil
}

// record writes to the journal. One that cannot be written is given up, not the
// upload: a full disk is often why a device sends a file.
func (u *upload) record(fn func(*journal) error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.journal == nil {
		return
	}
	if err := fn(u.journal); err != nil {
		u.c.cfg.Log.Warn("the journal cannot be written: if this process dies, the upload begins anew", "file", u.journal.path, "error", err)
		// What it says will soon be too old to go on with.
		if err := u.journal.remove(); err != nil {
			u.c.cfg.Log.Warn("the journal cannot be removed, either", "file", u.journal.path, "error", err)
		}
		u.journal = nil
	}
}

// begin begins an upload in parts on the server and in the journal.
func (u *upload) begin(ctx context.Context, size int64) (*begun, error) {
	b := &begun{
		Version: journalVersion, Size: size, Modified: u.modified.UnixNano(), Bucket: u.bucket, Key: u.key, Endpoint: u.endpoint,
		Region: u.s3.Options().Region, About: u.in.about(), At: u.c.clock.Now().UTC().Truncate(time.Second),
	}
	if u.in.File != "" {
		b.File = filepath.Base(u.in.File)
	}
	err := u.try(ctx, func(ctx context.Context) error {
		out, err := u.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: &u.bucket, Key: &u.key, Metadata: u.in.Metadata,
			ContentType: optional(u.in.ContentType), ContentEncoding: optional(u.in.ContentEncoding),
			ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme, ChecksumType: types.ChecksumTypeFullObject,
		})
		if err == nil {
			b.UploadID = aws.ToString(out.UploadId)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	u.record(func(j *journal) error { return j.begin(*b) })
	return b, nil
}

func (u *upload) inParts(ctx context.Context, p *plan) (_ *UploadOutput, err error) {
	// 1. Begin, or go on.
	var b *begun
	resumed := p != nil
	if resumed {
		b = u.journal.Begin
	} else {
		p = newPlan(u.in.Size, u.in.PartSize)
		if b, err = u.begin(ctx, u.in.Size); err != nil {
			return nil, err
		}
	}
	defer func() {
		var anew *anewError
		if isAnew := errors.As(err, &anew); err != nil && (u.journal == nil || isAnew) {
			if anew == nil || judge(anew.cause) != vanished {
				u.abort(ctx, b)
			}
			u.record(func(j *journal) error { return j.forget() })
		}
	}()
	// 2. The parts.
	if err := u.parts(ctx, p, b); err != nil {
		return nil, err
	}
	if u.changed() {
		return nil, &anewError{why: "the file changed while it was sent"}
	}
	// 3. The end.
	return u.complete(ctx, p.pieces, b)
}

// parts sends what is missing, several parts at once, and looks whether what a
// former process sent is still what the file holds.
func (u *upload) parts(ctx context.Context, p *plan, b *begun) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	if before := slices.Clone(p.pieces); len(before) > 0 {
		workers.Go(func() {
			if err := u.compare(running, before); err != nil {
				cancel(err)
			}
		})
	}
	for u.gate.enter(running) == nil {
		u.mu.Lock()
		d, ok := p.take()
		u.mu.Unlock()
		if !ok {
			u.gate.leave(false)
			break
		}
		workers.Go(func() {
			start := time.Now()
			err := u.part(running, b, &d, u.in.Body, d.Offset)
			u.gate.leave(err == nil)
			if err != nil {
				cancel(err) // the first one counts
				return
			}
			u.mu.Lock()
			p.finish(d, time.Since(start))
			u.mu.Unlock()
			u.record(func(j *journal) error { return j.write(record{Part: &d}) })
		})
	}
	workers.Wait()
	return context.Cause(running)
}

// compare reads again what was sent by a former process: a file may change and
// keep its size and time.
func (u *upload) compare(ctx context.Context, before []piece) error {
	for _, x := range before {
		if !x.sent {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		sum, err := u.sum(u.in.Body, x.Offset, x.Size)
		if err != nil {
			return err
		}
		if sum != x.Sum {
			return &anewError{why: "the file holds other bytes than were sent before"}
		}
	}
	return nil
}

// part sends one part, which is at from in body, and fills in its checksum and ETag.
func (u *upload) part(ctx context.Context, b *begun, d *partDone, body io.ReaderAt, from int64) error {
	var err error
	if d.Sum, err = u.sum(body, from, d.Size); err != nil {
		return err
	}
	err = u.try(u.progress.count(ctx, d.Size), func(ctx context.Context) error {
		out, err := u.s3.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &u.bucket, Key: &u.key, UploadId: &b.UploadID, PartNumber: &d.Number,
			Body: io.NewSectionReader(body, from, d.Size), ContentLength: &d.Size, ChecksumCRC64NVME: base64Sum(d.Sum),
		}, unsignedBody)
		if errorCode(err) == "BadDigest" {
			// Damaged on the way, or written to since it was summed?
			if now, sumErr := u.sum(body, from, d.Size); sumErr != nil || now != d.Sum {
				return &anewError{why: "the file changed while it was sent"}
			}
		}
		if err != nil {
			return err
		}
		d.ETag = aws.ToString(out.ETag)
		return same(out.ChecksumCRC64NVME, d.Sum)
	})
	if judge(err) == vanished && err != nil {
		return &anewError{"the server does not know the upload any more", err}
	}
	return err
}

// complete ends the upload: with the checksum of the whole, made of the parts'.
func (u *upload) complete(ctx context.Context, pieces []piece, b *begun) (*UploadOutput, error) {
	done := make([]types.CompletedPart, len(pieces))
	var sum uint64
	var size int64
	for i, p := range pieces {
		sum, size = combineCRC(sum, p.Sum, p.Size), size+p.Size
		done[i] = types.CompletedPart{PartNumber: aws.Int32(p.Number), ETag: aws.String(p.ETag), ChecksumCRC64NVME: base64Sum(p.Sum)}
	}
	before := u.journal != nil && u.journal.Ending // by a former process
	u.record(func(j *journal) error { return j.write(record{Ending: true}) })
	var out *s3.CompleteMultipartUploadOutput
	tries := 0
	err := u.try(ctx, func(ctx context.Context) (err error) {
		tries++
		out, err = u.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &u.bucket, Key: &u.key, UploadId: &b.UploadID, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
			ChecksumCRC64NVME: base64Sum(sum), ChecksumType: types.ChecksumTypeFullObject, MpuObjectSize: &size,
		})
		if errorCode(err) == "BadDigest" {
			return &anewError{"the server's checksum of the whole is another than this device's", err}
		}
		return err
	})
	switch {
	case err != nil && judge(err) == vanished && (before || tries > 1):
		return nil, &anewError{"the answer to the upload's end was lost, and the server does not know the upload any more: nothing proves that the file was stored", err}
	case err != nil && judge(err) == vanished:
		return nil, &anewError{"the server does not know the upload or its parts any more", err}
	case err != nil:
		return nil, err
	}
	if err := same(out.ChecksumCRC64NVME, sum); err != nil {
		return nil, &anewError{"the server stored something else than was sent", err}
	}
	o := &UploadOutput{u.bucket, u.key, size, aws.ToString(out.ETag), *base64Sum(sum), len(pieces)}
	u.record(func(j *journal) error { return j.write(record{Done: o}) })
	return o, nil
}

// abort tries to remove the parts of an upload that will not be gone on with. A
// device may not be allowed to; then the bucket's lifecycle removes them.
func (u *upload) abort(ctx context.Context, b *begun) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, err := u.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.Bucket, Key: &b.Key, UploadId: &b.UploadID})
	if err != nil && judge(err) != vanished {
		u.c.cfg.Log.Info("the parts of an upload that was given up could not be removed", "key", b.Key, "error", err)
	}
}
