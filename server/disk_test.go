package server_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// TestFullDisk: on a disk that is full an upload is refused with a code that
// tells SDKs to come again later, nothing of it is visible, what was there is
// still read, and when there is room again the server goes on by itself.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small disk here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	h := newHouseIn(t, dir+"/data")
	bucket := aws.String("bucket")
	if _, err := h.admin.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	once := func(o *s3.Options) { o.RetryMaxAttempts = 1 }
	put := func(key string, size int) error {
		_, err := h.admin.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader(bytes.Repeat([]byte("x"), size))}, once)
		return err
	}
	if err := put("first", 4<<20); err != nil {
		t.Fatal(err)
	}
	err := put("large", 30<<20)
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "SlowDown" {
		t.Fatalf("an object larger than the disk: got %v, want SlowDown", err)
	}
	out, err := h.admin.S3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket})
	if err != nil || len(out.Contents) != 1 || *out.Contents[0].Key != "first" {
		t.Fatalf("afterwards: got %v, %v; want only the first object", out, err)
	}
	// Now the disk is filled up by somebody else.
	hog := dir + "/hog"
	f, err := os.Create(hog)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	for err = nil; err == nil; {
		_, err = f.Write([]byte{0})
	}
	f.Close()
	thing := aws.String("device00")
	_, err = h.admin.IoT.CreateThing(t.Context(), &iot.CreateThingInput{ThingName: thing}, func(o *iot.Options) { o.RetryMaxAttempts = 1 })
	if !errors.As(err, &api) || !strings.HasPrefix(api.ErrorCode(), "ServiceUnavailable") {
		t.Errorf("a thing on a full disk: got %v, want ServiceUnavailableException", err)
	}
	if _, err := h.admin.IoT.DescribeThing(t.Context(), &iot.DescribeThingInput{ThingName: thing}); err == nil {
		t.Error("a thing that was refused is there")
	}
	if o, err := h.admin.S3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("first")}); err != nil {
		t.Errorf("read on a full disk: %v", err)
	} else {
		o.Body.Close()
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	if err := put("second", 4<<20); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	if _, err := h.admin.IoT.CreateThing(t.Context(), &iot.CreateThingInput{ThingName: thing}); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
