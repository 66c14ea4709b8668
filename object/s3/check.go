package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"

	"strait"
	"strait/object"
)

// Check implements object.Store: it reads every object of every bucket that is
// offered and compares its size, and its MD5 where the ETag is one.
func (s *Store) Check(ctx context.Context, report func(object.Problem)) error {
	buckets, err := s.Buckets(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		for q := (object.Query{}); ; {
			page, err := s.List(ctx, b.Name, q)
			if err != nil {
				return err
			}
			for _, o := range page.Objects {
				why, err := s.checkObject(ctx, b.Name, o.Key)
				if err != nil {
					return err
				}
				if why != "" {
					report(object.Problem{Bucket: b.Name, Key: o.Key, Message: why})
				}
			}
			if !page.Truncated {
				break
			}
			q.After = page.Next
		}
	}
	return nil
}

// checkObject says what is wrong with an object; what changes meanwhile is not
// reported.
func (s *Store) checkObject(ctx context.Context, bucket, key string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	info, r, err := s.Get(ctx, bucket, key)
	if strait.KindOf(err) == strait.NotFound && err != nil {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	sum := md5.New()
	if n, err := io.Copy(sum, r); err != nil {
		return fmt.Sprintf("%d of its %d bytes could be read: %v", n, info.Size, err), ctx.Err()
	}
	if got := hex.EncodeToString(sum.Sum(nil)); len(info.ETag) == 2*md5.Size && got != info.ETag {
		return fmt.Sprintf("its bytes have the MD5 %s, not %s", got, info.ETag), nil
	}
	return "", nil
}
