package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"strait"
	"strait/object"
	"strait/object/settings"
)

// A Sweeper removes what is due. All fields but Note and Log are required.
type Sweeper struct {
	Rules   *settings.Kept[Configuration]
	Objects object.Store
	Now     func() time.Time
	// Note tells what shall be true together with the end of an object; may
	// be nil.
	Note func(ctx context.Context, bucket, key string) (object.Also, error)
	Log  *slog.Logger // nil: nothing is logged
}

// A Report counts what a sweep did.
type Report struct {
	Expired, Aborted int
}

// Sweep looks through all buckets that have rules, once. One bucket's trouble
// keeps it from no other; the error tells of all.
func (s *Sweeper) Sweep(ctx context.Context) (Report, error) {
	var total Report
	var errs []error
	err := s.Rules.Each(ctx, func(bucket string, c Configuration) error {
		r, err := s.bucket(ctx, bucket, c)
		total.Expired += r.Expired
		total.Aborted += r.Aborted
		if strait.KindOf(err) == strait.NotFound {
			err = nil // the bucket is just being deleted
		}
		if r != (Report{}) && s.Log != nil {
			s.Log.Info("lifecycle rules removed what was due", "bucket", bucket, "objects", r.Expired, "uploads", r.Aborted)
		}
		errs = append(errs, err)
		return ctx.Err()
	})
	return total, errors.Join(append(errs, err)...)
}

func (s *Sweeper) bucket(ctx context.Context, bucket string, c Configuration) (n Report, err error) {
	for _, r := range c.Rules {
		if r.Disabled {
			continue
		}
		if r.Days > 0 || !r.Date.IsZero() && !s.Now().Before(r.Date) {
			k, err := s.objects(ctx, bucket, r)
			n.Expired += k
			if err != nil {
				return n, err
			}
		}
		if r.AbortDays > 0 {
			k, err := s.uploads(ctx, bucket, r)
			n.Aborted += k
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// objects removes the objects that a rule is due for, each only as the version
// that was looked at.
func (s *Sweeper) objects(ctx context.Context, bucket string, r Rule) (n int, err error) {
	for q := (object.Query{Prefix: r.Filter.Prefix}); ; {
		page, err := s.Objects.List(ctx, bucket, q)
		if err != nil {
			return n, err
		}
		for _, i := range page.Objects {
			if at, ok := r.Expires(i); !ok || s.Now().Before(at) {
				continue
			}
			o := object.DeleteOptions{IfMatch: i.ETag, Modified: i.Modified}
			if s.Note != nil {
				if o.Also, err = s.Note(ctx, bucket, i.Key); err != nil {
					return n, err
				}
			}
			switch err := s.Objects.Delete(ctx, bucket, i.Key, o); strait.KindOf(err) {
			case strait.Precondition, strait.NotFound:
				continue // overwritten or deleted meanwhile
			default:
				if err != nil {
					return n, err
				}
				n++
			}
		}
		if !page.Truncated {
			return n, nil
		}
		q.After = page.Next
	}
}

// uploads aborts the uploads that a rule is due for.
func (s *Sweeper) uploads(ctx context.Context, bucket string, r Rule) (n int, err error) {
	for q := (object.UploadQuery{Prefix: r.Filter.Prefix}); ; {
		page, err := s.Objects.Uploads(ctx, bucket, q)
		if err != nil {
			return n, err
		}
		for _, u := range page.Uploads {
			if at, ok := r.aborts(u); !ok || s.Now().Before(at) {
				continue
			}
			switch err := s.Objects.Abort(ctx, bucket, u.Key, u.ID); {
			case strait.KindOf(err) == strait.NotFound:
				continue // completed meanwhile
			case err != nil:
				return n, err
			}
			n++
		}
		if !page.Truncated {
			return n, nil
		}
		q.AfterKey, q.AfterID = page.NextKey, page.NextID
	}
}
