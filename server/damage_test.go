package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// TestDamagedObject: an object whose bytes are gone from the disk is told as an
// error, never as bytes, and the server goes on.
func TestDamagedObject(t *testing.T) {
	h := newHouse(t)
	bucket, key := aws.String("bucket"), aws.String("key")
	if _, err := h.admin.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.admin.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(strings.Repeat("x", 1<<20))}); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(h.Ready().Data, "objects", "segments", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	for _, s := range segments {
		if err := os.Truncate(s, 0); err != nil {
			t.Fatal(err)
		}
	}
	_, err = h.admin.S3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key}, func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "InternalError" {
		t.Errorf("get a damaged object: got %v, want InternalError", err)
	}
	if _, err := h.admin.S3.ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
