package dir

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"strait/object"
	"strait/state"
)

// Check implements object.Store. It reads at the disk's pace and holds nobody
// up; what changes while it looks is not reported.
func (s *Store) Check(ctx context.Context, report func(object.Problem)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	err := s.each(ctx, objectPrefix, func(f state.Fact) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		bucket, key, ok := splitObjectKey(f.Key)
		if !ok {
			report(object.Problem{Message: fmt.Sprintf("fact %q is no object", f.Key)})
			return nil
		}
		if why := s.checkObject(ctx, bucket, key, f); why != nil && s.still(ctx, f) {
			report(object.Problem{Bucket: bucket, Key: key, Message: why.Error()})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.each(ctx, uploadPrefix, func(f state.Fact) error {
		bucket, key, v, ok := splitUploadKey(f.Key)
		if _, err := decodeUpload(f.Value); err != nil || !ok {
			report(object.Problem{Bucket: bucket, Key: key, Message: errRecord.Error()})
			return nil
		}
		return s.checkUpload(ctx, object.Problem{Bucket: bucket, Key: key, Upload: v.String()}, v, report)
	})
}

// still tells whether f is what the store holds.
func (s *Store) still(ctx context.Context, f state.Fact) bool {
	now, ok, err := s.get(ctx, f.Key)
	return err == nil && ok && now.Revision == f.Revision
}

func (s *Store) checkObject(ctx context.Context, bucket, key string, f state.Fact) error {
	m, err := decodeManifest(f.Value)
	if err != nil {
		return err
	}
	if _, err := s.Bucket(ctx, bucket); err != nil {
		return fmt.Errorf("bucket %q: %w", bucket, err)
	}
	s.pin(m.version)
	defer s.unpin(m.version)
	if !s.still(ctx, f) {
		return nil
	}
	r := s.newReader(m)
	r.fresh = true
	s.pin(m.version) // which r.Close undoes
	defer r.Close()
	if len(m.runs) == 0 {
		return readThrough(ctx, r, 0, m.size, m.etag)
	}
	// Each part against its own sum, and the sums against the ETag.
	digest := md5.New()
	for _, run := range m.runs {
		for number := run.first; number < run.first+run.count; number++ {
			p, err := s.part(ctx, m.version, number)
			if err != nil {
				return err
			}
			digest.Write(p.md5[:])
		}
	}
	if etag := fmt.Sprintf("%x-%d", digest.Sum(nil), m.parts()); etag != m.etag {
		return fmt.Errorf("its parts give ETag %s, not %s", etag, m.etag)
	}
	for n := 1; n <= m.parts(); n++ {
		offset, size, err := r.Part(n)
		if err != nil {
			return err
		}
		if err := readThrough(ctx, r, offset, size, ""); err != nil {
			return fmt.Errorf("part %d of %d: %w", n, m.parts(), err)
		}
	}
	return nil
}

// readThrough reads a stretch, whose blocks check themselves, and compares the
// MD5 when there is one.
func readThrough(ctx context.Context, r io.ReaderAt, offset, size int64, sum string) error {
	digest := md5.New()
	buf := make([]byte, blockSize)
	for end := offset + size; offset < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.ReadAt(buf[:min(blockSize, end-offset)], offset)
		if err != nil {
			return errors.Join(err, errors.Unwrap(err))
		}
		digest.Write(buf[:n])
		offset += int64(n)
	}
	if got := hex.EncodeToString(digest.Sum(nil)); sum != "" && got != sum {
		return fmt.Errorf("its bytes have the MD5 %s, not %s", got, sum)
	}
	return nil
}

func (s *Store) checkUpload(ctx context.Context, at object.Problem, v id, report func(object.Problem)) error {
	return s.each(ctx, partsOf(v), func(f state.Fact) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, number, _ := splitPartKey(f.Key)
		p, err := decodePart(f.Value)
		if err == nil {
			// A reader over this part alone; an open upload's part is not
			// pinned, but one that went away meanwhile is not reported.
			r := s.newReader(manifest{version: p.seed, size: p.size, extents: p.extents})
			r.fresh = true
			s.pin(p.seed)
			err = readThrough(ctx, r, 0, p.size, hex.EncodeToString(p.md5[:]))
			r.Close()
		}
		if err != nil && s.still(ctx, f) {
			at.Part, at.Message = number, err.Error()
			report(at)
		}
		return nil
	})
}
