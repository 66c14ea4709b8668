package s3_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func put(h *house, c *s3.Client, bucket, key, body string) {
	h.t.Helper()
	_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	h.must(err)
}

func get(h *house, c *s3.Client, bucket, key string) string {
	h.t.Helper()
	out, err := c.GetObject(h.ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	h.must(err)
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	h.must(err)
	return string(b)
}

// TestCopy: an object is copied with its metadata or new ones, under conditions,
// from and to names that need escaping.
func TestCopy(t *testing.T) {
	h := raise(t)
	c := h.client(h.https)
	b := h.bucket(c, "copies")
	_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("a//b ä+%"), Body: strings.NewReader("hello"), ContentType: ptr("text/x"),
		Metadata: map[string]string{"m": "1"}})
	h.must(err)
	source := "/" + b + "/" + url.PathEscape("a//b ä+%")
	out, err := c.CopyObject(h.ctx, &s3.CopyObjectInput{Bucket: &b, Key: ptr("../c"), CopySource: &source})
	h.must(err)
	if got := *out.CopyObjectResult.ETag; got != `"5d41402abc4b2a76b9719d911017c592"` {
		t.Errorf("ETag of the copy: %s", got)
	}
	head, err := c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("../c")})
	h.must(err)
	if *head.ContentType != "text/x" || head.Metadata["m"] != "1" || get(h, c, b, "../c") != "hello" {
		t.Errorf("the copy differs: %v %v", *head.ContentType, head.Metadata)
	}
	_, err = c.CopyObject(h.ctx, &s3.CopyObjectInput{Bucket: &b, Key: ptr("../c"), CopySource: ptr(b + "/../c"), MetadataDirective: types.MetadataDirectiveReplace, ContentType: ptr("text/y")})
	h.must(err)
	if head, err = c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("../c")}); err != nil || *head.ContentType != "text/y" || len(head.Metadata) != 0 {
		t.Errorf("replaced metadata: %v %v", err, head)
	}
	for _, c2 := range []struct {
		what   string
		in     s3.CopyObjectInput
		code   string
		status int
	}{
		{"to itself", s3.CopyObjectInput{Key: ptr("../c"), CopySource: ptr(b + "/../c")}, "InvalidRequest", 400},
		{"a missing key", s3.CopyObjectInput{Key: ptr("x"), CopySource: ptr(b + "/none")}, "NoSuchKey", 404},
		{"a missing bucket", s3.CopyObjectInput{Key: ptr("x"), CopySource: ptr("missing-bucket/none")}, "NoSuchBucket", 404},
		{"no key", s3.CopyObjectInput{Key: ptr("x"), CopySource: ptr(b)}, "InvalidArgument", 400},
		{"a version", s3.CopyObjectInput{Key: ptr("x"), CopySource: ptr(b + "/../c?versionId=abc")}, "InvalidArgument", 400},
		{"another ETag", s3.CopyObjectInput{Key: ptr("x"), CopySource: ptr(b + "/../c"), CopySourceIfMatch: ptr(`"0"`)}, "PreconditionFailed", 412},
		{"the ETag", s3.CopyObjectInput{Key: ptr("x"), CopySource: ptr(b + "/../c"), CopySourceIfNoneMatch: head.ETag}, "PreconditionFailed", 412},
		{"over another", s3.CopyObjectInput{Key: ptr("a//b ä+%"), CopySource: ptr(b + "/../c"), IfNoneMatch: ptr("*")}, "PreconditionFailed", 412},
	} {
		c2.in.Bucket = &b
		_, err := c.CopyObject(h.ctx, &c2.in)
		refused(t, "copy of "+c2.what, err, c2.code, c2.status)
	}
}

// TestCopyPart: an upload is put together from ranges of other objects.
func TestCopyPart(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "parts")
	whole := strings.Repeat("0123456789abcdef", 6<<16) // 6 MiB
	put(h, c, b, "source", whole)
	up, err := c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: ptr("made")})
	h.must(err)
	part := func(n int32, source, span string) (*s3.UploadPartCopyOutput, error) {
		return c.UploadPartCopy(h.ctx, &s3.UploadPartCopyInput{Bucket: &b, Key: ptr("made"), UploadId: up.UploadId, PartNumber: &n, CopySource: &source, CopySourceRange: &span})
	}
	var done []types.CompletedPart
	for i, span := range []string{"bytes=16-5242895", "bytes=0-0"} {
		out, err := part(int32(i+1), b+"/source", span)
		h.must(err)
		done = append(done, types.CompletedPart{PartNumber: ptr(int32(i + 1)), ETag: out.CopyPartResult.ETag})
	}
	for _, span := range []string{"bytes=0-9999999999", "bytes=5-4", "bytes=-5", "bytes=5-", "0-5", "bytes=a-b"} {
		_, err := part(3, b+"/source", span)
		refused(t, "copy of "+span, err, "InvalidArgument", 400)
	}
	_, err = part(3, b+"/none", "bytes=0-1")
	refused(t, "part of a missing object", err, "NoSuchKey", 404)
	_, err = c.CompleteMultipartUpload(h.ctx, &s3.CompleteMultipartUploadInput{Bucket: &b, Key: ptr("made"), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	h.must(err)
	if got := get(h, c, b, "made"); got != whole[16:5242896]+"0" {
		t.Errorf("the object made of copies has %d bytes and differs", len(got))
	}
	a, err := c.GetObjectAttributes(h.ctx, &s3.GetObjectAttributesInput{Bucket: &b, Key: ptr("made"), ObjectAttributes: []types.ObjectAttributes{
		types.ObjectAttributesEtag, types.ObjectAttributesObjectParts, types.ObjectAttributesObjectSize, types.ObjectAttributesStorageClass}})
	h.must(err)
	if *a.ObjectSize != 5242881 || *a.ObjectParts.TotalPartsCount != 2 || len(a.ObjectParts.Parts) != 2 || strings.Contains(*a.ETag, `"`) {
		t.Errorf("attributes: %+v %+v", a, a.ObjectParts)
	}
}

// TestPartChecksums: attributes tell the checksum of each part, page by page,
// beside the one of the whole.
func TestPartChecksums(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "sums")
	up, err := c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: ptr("k"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
	h.must(err)
	var done []types.CompletedPart
	for i, body := range []string{strings.Repeat("a", 5<<20), strings.Repeat("b", 5<<20), "end"} {
		n := ptr(int32(2*i + 1)) // numbers need not follow each other
		out, err := c.UploadPart(h.ctx, &s3.UploadPartInput{Bucket: &b, Key: ptr("k"), UploadId: up.UploadId, PartNumber: n,
			Body: strings.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
		h.must(err)
		sum := sha256.Sum256([]byte(body))
		if want := base64.StdEncoding.EncodeToString(sum[:]); *out.ChecksumSHA256 != want {
			t.Errorf("part %d: checksum %s, want %s", *n, *out.ChecksumSHA256, want)
		}
		done = append(done, types.CompletedPart{PartNumber: n, ETag: out.ETag, ChecksumSHA256: out.ChecksumSHA256})
	}
	whole, err := c.CompleteMultipartUpload(h.ctx, &s3.CompleteMultipartUploadInput{Bucket: &b, Key: ptr("k"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	h.must(err)
	var told []types.ObjectPart
	in := &s3.GetObjectAttributesInput{Bucket: &b, Key: ptr("k"), MaxParts: ptr(int32(2)),
		ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesChecksum, types.ObjectAttributesObjectParts}}
	for {
		a, err := c.GetObjectAttributes(h.ctx, in)
		h.must(err)
		if *a.Checksum.ChecksumSHA256 != *whole.ChecksumSHA256 {
			t.Errorf("the whole: %s, want %s", *a.Checksum.ChecksumSHA256, *whole.ChecksumSHA256)
		}
		told = append(told, a.ObjectParts.Parts...)
		if !*a.ObjectParts.IsTruncated {
			break
		}
		in.PartNumberMarker = a.ObjectParts.NextPartNumberMarker
	}
	if len(told) != len(done) {
		t.Fatalf("%d parts are told, want %d", len(told), len(done))
	}
	for i, p := range told {
		if p.ChecksumSHA256 == nil || *p.ChecksumSHA256 != *done[i].ChecksumSHA256 {
			t.Errorf("part %d: %+v, want the checksum %s", i+1, p, *done[i].ChecksumSHA256)
		}
		// One that is read by its number comes with its own, which the SDK compares.
		in := s3.GetObjectInput{Bucket: &b, Key: ptr("k"), PartNumber: ptr(int32(i + 1)), ChecksumMode: types.ChecksumModeEnabled}
		out, err := c.GetObject(h.ctx, &in)
		h.must(err)
		_, err = io.Copy(io.Discard, out.Body)
		out.Body.Close()
		h.must(err)
		if got := aws.ToString(out.ChecksumSHA256); got != *done[i].ChecksumSHA256 || out.ChecksumType != types.ChecksumTypeComposite {
			t.Errorf("part %d comes with the checksum %q of type %q, want %s", i+1, got, out.ChecksumType, *done[i].ChecksumSHA256)
		}
		head, err := c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("k"), PartNumber: in.PartNumber})
		h.must(err)
		if head.ChecksumSHA256 != nil {
			t.Errorf("part %d: a checksum that nobody asked for", i+1)
		}
	}
}

// TestPartWithoutChecksum: who chose no checksum gets none with a part, though
// one of the whole was made.
func TestPartWithoutChecksum(t *testing.T) {
	h := raise(t)
	c := h.client(h.http, func(o *s3.Options) { o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired })
	b := h.bucket(c, "nosums")
	up, err := c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: ptr("k")})
	h.must(err)
	part, err := c.UploadPart(h.ctx, &s3.UploadPartInput{Bucket: &b, Key: ptr("k"), UploadId: up.UploadId, PartNumber: ptr(int32(1)), Body: strings.NewReader("x")})
	h.must(err)
	_, err = c.CompleteMultipartUpload(h.ctx, &s3.CompleteMultipartUploadInput{Bucket: &b, Key: ptr("k"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: ptr(int32(1)), ETag: part.ETag}}}})
	h.must(err)
	whole, err := c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("k"), ChecksumMode: types.ChecksumModeEnabled})
	h.must(err)
	one, err := c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("k"), ChecksumMode: types.ChecksumModeEnabled, PartNumber: ptr(int32(1))})
	h.must(err)
	if aws.ToString(whole.ChecksumCRC64NVME) == "" || one.ChecksumCRC64NVME != nil {
		t.Errorf("the whole has %q, its part %q", aws.ToString(whole.ChecksumCRC64NVME), aws.ToString(one.ChecksumCRC64NVME))
	}
}

// TestLists: the three listings tell the same, page by page.
func TestLists(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "lists")
	keys := []string{"a", "a/b", "a//b", "d/1", "d/2", "e ä&<\x01", "z"}
	for _, k := range keys {
		put(h, c, b, k, k)
	}
	slices.Sort(keys)
	var v1 []string
	in := &s3.ListObjectsInput{Bucket: &b, MaxKeys: ptr(int32(2)), EncodingType: types.EncodingTypeUrl}
	for {
		out, err := c.ListObjects(h.ctx, in)
		h.must(err)
		for _, o := range out.Contents {
			k, err := url.QueryUnescape(*o.Key)
			h.must(err)
			v1 = append(v1, k)
		}
		if !*out.IsTruncated {
			break
		}
		in.Marker = &v1[len(v1)-1]
	}
	if !slices.Equal(v1, keys) {
		t.Errorf("ListObjects: got %q, want %q", v1, keys)
	}
	out, err := c.ListObjects(h.ctx, &s3.ListObjectsInput{Bucket: &b, Delimiter: ptr("/"), MaxKeys: ptr(int32(2))})
	h.must(err)
	if *out.NextMarker != "a/" || len(out.CommonPrefixes) != 1 || *out.CommonPrefixes[0].Prefix != "a/" {
		t.Errorf("ListObjects with a delimiter: %v %v", out.NextMarker, out.CommonPrefixes)
	}
	versions, err := c.ListObjectVersions(h.ctx, &s3.ListObjectVersionsInput{Bucket: &b, Prefix: ptr("d/")})
	h.must(err)
	if len(versions.Versions) != 2 || *versions.Versions[0].VersionId != "null" || !*versions.Versions[0].IsLatest {
		t.Errorf("ListObjectVersions: %+v", versions.Versions)
	}
	// As Terraform's force_destroy empties a bucket.
	_, err = c.DeleteObject(h.ctx, &s3.DeleteObjectInput{Bucket: &b, Key: ptr("d/1"), VersionId: ptr("null")})
	h.must(err)
	_, err = c.DeleteObject(h.ctx, &s3.DeleteObjectInput{Bucket: &b, Key: ptr("d/2"), VersionId: ptr("abc")})
	refused(t, "delete of a version", err, "InvalidArgument", 400)
	if get(h, c, b, "d/2") != "d/2" {
		t.Error("d/2 is gone")
	}
}

// TestConfiguration: what is asked of a new bucket is answered as AWS does, or
// with the code that means "not set"; what cannot be set is refused.
func TestConfiguration(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "configured")
	for what, err := range map[string]error{
		"NoSuchCORSConfiguration":                        second(c.GetBucketCors(h.ctx, &s3.GetBucketCorsInput{Bucket: &b})),
		"NoSuchWebsiteConfiguration":                     second(c.GetBucketWebsite(h.ctx, &s3.GetBucketWebsiteInput{Bucket: &b})),
		"ReplicationConfigurationNotFoundError":          second(c.GetBucketReplication(h.ctx, &s3.GetBucketReplicationInput{Bucket: &b})),
		"ServerSideEncryptionConfigurationNotFoundError": second(c.GetBucketEncryption(h.ctx, &s3.GetBucketEncryptionInput{Bucket: &b})),
		"ObjectLockConfigurationNotFoundError":           second(c.GetObjectLockConfiguration(h.ctx, &s3.GetObjectLockConfigurationInput{Bucket: &b})),
		"NoSuchBucketPolicy":                             second(c.GetBucketPolicy(h.ctx, &s3.GetBucketPolicyInput{Bucket: &b})),
		"NoSuchPublicAccessBlockConfiguration":           second(c.GetPublicAccessBlock(h.ctx, &s3.GetPublicAccessBlockInput{Bucket: &b})),
	} {
		refused(t, what, err, what, 404)
	}
	v, err := c.GetBucketVersioning(h.ctx, &s3.GetBucketVersioningInput{Bucket: &b})
	h.must(err)
	if v.Status != "" {
		t.Errorf("versioning: %q", v.Status)
	}
	_, err = c.PutBucketVersioning(h.ctx, &s3.PutBucketVersioningInput{Bucket: &b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	refused(t, "PutBucketVersioning", err, "NotImplemented", 501)
	_, err = c.PutBucketCors(h.ctx, &s3.PutBucketCorsInput{Bucket: &b, CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}}}}})
	refused(t, "PutBucketCors", err, "NotImplemented", 501)
	acl, err := c.GetBucketAcl(h.ctx, &s3.GetBucketAclInput{Bucket: &b})
	h.must(err)
	if len(acl.Grants) != 1 || acl.Grants[0].Permission != types.PermissionFullControl || acl.Grants[0].Grantee.Type != types.TypeCanonicalUser || *acl.Grants[0].Grantee.ID != *acl.Owner.ID {
		t.Errorf("ACL: %+v", acl)
	}
	pay, err := c.GetBucketRequestPayment(h.ctx, &s3.GetBucketRequestPaymentInput{Bucket: &b})
	h.must(err)
	own, err := c.GetBucketOwnershipControls(h.ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &b})
	h.must(err)
	if pay.Payer != types.PayerBucketOwner || own.OwnershipControls.Rules[0].ObjectOwnership != types.ObjectOwnershipBucketOwnerEnforced {
		t.Errorf("payer %v, ownership %v", pay.Payer, own.OwnershipControls.Rules)
	}
	for what, err := range map[string]error{
		"accelerate": second(c.GetBucketAccelerateConfiguration(h.ctx, &s3.GetBucketAccelerateConfigurationInput{Bucket: &b})),
		"logging":    second(c.GetBucketLogging(h.ctx, &s3.GetBucketLoggingInput{Bucket: &b})),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What would change the meaning of a write is refused, and writes nothing.
	_, err = c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: bytes.NewReader(nil), ACL: types.ObjectCannedACLPublicRead})
	refused(t, "a public object", err, "AccessControlListNotSupported", 400)
	_, err = c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: bytes.NewReader(nil), ServerSideEncryption: types.ServerSideEncryptionAwsKms})
	refused(t, "an object under KMS", err, "NotImplemented", 501)
	_, err = c.HeadObject(h.ctx, &s3.HeadObjectInput{Bucket: &b, Key: ptr("k")})
	refused(t, "what was refused", err, "NotFound", 404)
}

// TestPolicyStays: making a bucket that is there already, as rclone does before
// it copies, leaves its policy alone.
func TestPolicyStays(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "guarded")
	_, err := c.PutBucketPolicy(h.ctx, &s3.PutBucketPolicyInput{Bucket: &b, Policy: ptr(`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny",
		"Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::guarded/*"}]}`)})
	h.must(err)
	_, err = c.CreateBucket(h.ctx, &s3.CreateBucketInput{Bucket: &b})
	refused(t, "the bucket again", err, "BucketAlreadyOwnedByYou", 409)
	_, err = c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: strings.NewReader("x")})
	refused(t, "a put that the policy denies", err, "AccessDenied", 403)
	// A new bucket of the name has no policy.
	_, err = c.DeleteBucket(h.ctx, &s3.DeleteBucketInput{Bucket: &b})
	h.must(err)
	put(h, c, h.bucket(c, "guarded"), "k", "x")
}

func second[T any](_ T, err error) error { return err }
