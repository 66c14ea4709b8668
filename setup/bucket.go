package setup

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// bucket makes the bucket in the session's region. One that exists is taken
// as it is.
func (r *run) bucket(ctx context.Context, step, name string) error {
	_, err := r.s.S3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
	switch {
	case err == nil:
		r.fine(step, "bucket "+name)
		return nil
	case status(err) == http.StatusForbidden:
		return fmt.Errorf("%s: bucket %s exists and is not yours, or you may not look at it: choose another name", step, name)
	case status(err) == http.StatusMovedPermanently:
		return fmt.Errorf("%s: bucket %s is in another region than %s", step, name, r.place.Region)
	case !missing(err):
		return failed(step, "look at bucket "+name, err)
	}
	in := &s3.CreateBucketInput{Bucket: &name}
	if r.place.Region != "us-east-1" { // which must not be named
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(r.place.Region)}
	}
	return r.change(ctx, step, "create bucket "+name, "", func(ctx context.Context) error {
		_, err := r.s.S3.CreateBucket(ctx, in)
		if is(err, "BucketAlreadyOwnedByYou") {
			return nil
		}
		return err
	})
}
