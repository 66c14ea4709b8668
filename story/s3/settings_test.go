package s3_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait"
	"strait/await"
	"strait/server"
)

// TestLifecycle: rules are kept as they were written, tell on objects when they
// go, survive a restart, and remove what is due and nothing else.
func TestLifecycle(t *testing.T) {
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	data := t.TempDir()
	h := raiseIn(t, data, now)
	c := h.client(h.http)
	b := h.bucket(c, "aging")
	_, err := c.GetBucketLifecycleConfiguration(h.ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b})
	refused(t, "rules before any", err, "NoSuchLifecycleConfiguration", 404)
	rules := []types.LifecycleRule{
		{ID: ptr("logs & co"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: ptr("logs/"),
			Tags: []types.Tag{{Key: ptr("keep"), Value: ptr("no")}}, ObjectSizeGreaterThan: ptr(int64(3))}}, Expiration: &types.LifecycleExpiration{Days: ptr(int32(2))}},
		{ID: ptr("uploads"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: ptr("")},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: ptr(int32(1))}},
		{Status: types.ExpirationStatusDisabled, Filter: &types.LifecycleRuleFilter{}, Expiration: &types.LifecycleExpiration{Date: ptr(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))}},
	}
	_, err = c.PutBucketLifecycleConfiguration(h.ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
	h.must(err)
	tagged := func(key, body, tags string) *s3.PutObjectOutput {
		out, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader(body), Tagging: &tags})
		h.must(err)
		return out
	}
	due := now().UTC().Truncate(24 * time.Hour).Add(3 * 24 * time.Hour).Format(http.TimeFormat)
	out := tagged("logs/goes", "large", "keep=no")
	if want := `expiry-date="` + due + `", rule-id="logs%20%26%20co"`; out.Expiration == nil || *out.Expiration != want {
		t.Errorf("x-amz-expiration: %v, want %s", out.Expiration, want)
	}
	for key, tags := range map[string]string{"logs/small": "keep=no", "logs/kept": "keep=yes", "other": "keep=no"} {
		body := "large"
		if key == "logs/small" {
			body = "abc"
		}
		if out := tagged(key, body, tags); out.Expiration != nil {
			t.Errorf("%s tells of expiry: %s", key, *out.Expiration)
		}
	}
	_, err = c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: ptr("u")})
	h.must(err)

	// A restart the day before, and one on the day.
	left := func() (keys string, uploads int) {
		l, err := c.ListObjectsV2(h.ctx, &s3.ListObjectsV2Input{Bucket: &b})
		h.must(err)
		for _, o := range l.Contents {
			keys += *o.Key + " "
		}
		u, err := c.ListMultipartUploads(h.ctx, &s3.ListMultipartUploadsInput{Bucket: &b})
		h.must(err)
		return keys, len(u.Uploads)
	}
	for _, days := range []int{1, 3} {
		h.leave()
		moved.Store(int64(time.Duration(days) * 24 * time.Hour))
		h = raiseIn(t, data, now)
		c = h.client(h.http, func(o *s3.Options) { o.HTTPSignerV4 = later{o.HTTPSignerV4, &moved} })
		if days == 1 {
			if keys, n := left(); keys != "logs/goes logs/kept logs/small other " || n != 1 {
				t.Errorf("after a day: %s, %d uploads", keys, n)
			}
			continue
		}
		await.Until(t, "only logs/kept, logs/small and other after three days", func() bool {
			keys, n := left()
			return keys == "logs/kept logs/small other " && n == 0
		})
	}
	got, err := c.GetBucketLifecycleConfiguration(h.ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b})
	h.must(err)
	if r := got.Rules; len(r) != 3 || *r[0].Filter.And.Prefix != "logs/" || *r[0].Filter.And.ObjectSizeGreaterThan != 3 || len(r[0].Filter.And.Tags) != 1 || *r[1].Filter.Prefix != "" ||
		*r[1].AbortIncompleteMultipartUpload.DaysAfterInitiation != 1 || *r[2].ID == "" || r[2].Filter == nil || r[2].Expiration.Date.Year() != 2020 {
		t.Errorf("the rules came back as %+v", r)
	}
	_, err = c.DeleteBucketLifecycle(h.ctx, &s3.DeleteBucketLifecycleInput{Bucket: &b})
	h.must(err)
	_, err = c.GetBucketLifecycleConfiguration(h.ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b})
	refused(t, "rules that were deleted", err, "NoSuchLifecycleConfiguration", 404)
}

// TestLifecycleRefused: what cannot be carried out is not taken, and says why.
func TestLifecycleRefused(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "aging")
	expire := "<Expiration><Days>1</Days></Expiration>"
	for _, x := range []struct{ rule, code string }{
		{"<Filter/><Status>Enabled</Status>" + expire + "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>", "NotImplemented"},
		{"<Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>", "NotImplemented"},
		{"<Filter/><Status>Enabled</Status>", "InvalidRequest"},
		{"<Filter/><Status>On</Status>" + expire, "MalformedXML"},
		{"<Status>Enabled</Status>" + expire, "MalformedXML"},
		{"<Prefix>a</Prefix><Filter/><Status>Enabled</Status>" + expire, "MalformedXML"},
		{"<Filter><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter><Status>Enabled</Status>" + expire, "MalformedXML"},
		{"<Filter/><Status>Enabled</Status><Expiration><Days>0</Days></Expiration>", "InvalidArgument"},
		{"<Filter/><Status>Enabled</Status><Expiration><Days>x</Days></Expiration>", "MalformedXML"},
		{"<Filter/><Status>Enabled</Status><Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>", "InvalidArgument"},
		{"<Filter/><Status>Enabled</Status><Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>", "MalformedXML"},
		{"<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>", "InvalidRequest"},
		{"", "MalformedXML"},
	} {
		doc := `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>` + x.rule + `</Rule></LifecycleConfiguration>`
		if x.rule == "" {
			doc = "<LifecycleConfiguration/>"
		}
		status, said := h.send(c, "PUT", "/"+b+"?lifecycle", doc)
		if !strings.Contains(said, "<Code>"+x.code+"</Code>") {
			t.Errorf("%s: got %d %s, want %s", x.rule, status, said, x.code)
		}
	}
	// The older form is taken, and no content after a refusal was.
	_, err := c.GetBucketLifecycleConfiguration(h.ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b})
	refused(t, "what was refused", err, "NoSuchLifecycleConfiguration", 404)
	if status, said := h.send(c, "PUT", "/"+b+"?lifecycle", "<LifecycleConfiguration><Rule><Prefix>a</Prefix><Status>Enabled</Status>"+expire+"</Rule></LifecycleConfiguration>"); status != 200 {
		t.Errorf("the older form: %d %s", status, said)
	}
	_, err = c.PutBucketLifecycleConfiguration(h.ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: ptr("no-such-bucket"), LifecycleConfiguration: &types.BucketLifecycleConfiguration{
		Rules: []types.LifecycleRule{{Status: "Enabled", Filter: &types.LifecycleRuleFilter{}, Expiration: &types.LifecycleExpiration{Days: ptr(int32(1))}}}}})
	refused(t, "rules of no bucket", err, "NoSuchBucket", 404)
}

// TestBucketTagging: a bucket's tags are kept, replaced, deleted, and gone with
// the bucket, as its rules are.
func TestBucketTagging(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	b := h.bucket(c, "tagged")
	get := func() (*s3.GetBucketTaggingOutput, error) {
		return c.GetBucketTagging(h.ctx, &s3.GetBucketTaggingInput{Bucket: &b})
	}
	_, err := get()
	refused(t, "tags before any", err, "NoSuchTagSet", 404)
	set := func() {
		t.Helper()
		_, err := c.PutBucketTagging(h.ctx, &s3.PutBucketTaggingInput{Bucket: &b, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: ptr("b"), Value: ptr("2")}, {Key: ptr("a"), Value: ptr("")}}}})
		h.must(err)
		if out, err := get(); err != nil || len(out.TagSet) != 2 || *out.TagSet[0].Key != "a" || *out.TagSet[1].Value != "2" {
			t.Errorf("tags: %v %v", out, err)
		}
	}
	set()
	_, err = c.PutBucketTagging(h.ctx, &s3.PutBucketTaggingInput{Bucket: &b, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: ptr("aws:x"), Value: ptr("2")}}}})
	refused(t, "a tag of AWS's", err, "InvalidTag", 400)
	_, err = c.DeleteBucketTagging(h.ctx, &s3.DeleteBucketTaggingInput{Bucket: &b})
	h.must(err)
	_, err = get()
	refused(t, "tags that were deleted", err, "NoSuchTagSet", 404)
	set()
	_, err = c.DeleteBucket(h.ctx, &s3.DeleteBucketInput{Bucket: &b})
	h.must(err)
	h.bucket(c, b)
	_, err = get()
	refused(t, "tags of an earlier bucket", err, "NoSuchTagSet", 404)
}

// later signs as a client whose clock was moved.
type later struct {
	s3.HTTPSignerV4
	by *atomic.Int64
}

func (l later) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, t time.Time, fns ...func(*v4.SignerOptions)) error {
	return v4.NewSigner().SignHTTP(ctx, c, r, hash, service, region, t.Add(time.Duration(l.by.Load())), fns...)
}

// send makes a signed request, for what no SDK sends.
func (h *house) send(c *s3.Client, method, path, body string) (status int, said string) {
	h.t.Helper()
	creds, err := c.Options().Credentials.Retrieve(h.ctx)
	h.must(err)
	return h.as(creds, h.request(method, path, "", body))
}

// sign signs a request with its body.
func sign(h *house, creds aws.Credentials, r *http.Request, at time.Time) error {
	body, err := r.GetBody()
	if err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, body); err != nil {
		return err
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	r.Header.Set("X-Amz-Content-Sha256", sum)
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(h.ctx, creds, r, sum, "s3", h.ready.Region, at)
}

// TestListBuckets: buckets are listed by prefix and page by page.
func TestListBuckets(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	for _, b := range []string{"one-1", "one-2", "one-3", "two-1"} {
		h.bucket(c, b)
	}
	names, in := "", &s3.ListBucketsInput{Prefix: ptr("one"), MaxBuckets: ptr(int32(2))}
	for {
		out, err := c.ListBuckets(h.ctx, in)
		h.must(err)
		for _, b := range out.Buckets {
			names += *b.Name + " "
		}
		names += "| "
		if in.ContinuationToken = out.ContinuationToken; in.ContinuationToken == nil {
			break
		}
	}
	if names != "one-1 one-2 | one-3 | " {
		t.Errorf("got %s", names)
	}
	if out, err := c.ListBuckets(h.ctx, &s3.ListBucketsInput{BucketRegion: ptr("eu-west-1")}); err != nil || len(out.Buckets) > 0 {
		t.Errorf("buckets of another region: %v %v", out, err)
	}
	_, err := c.ListBuckets(h.ctx, &s3.ListBucketsInput{MaxBuckets: ptr(int32(0))})
	refused(t, "no buckets", err, "InvalidArgument", 400)
}

// TestLocation: a bucket is made where the server stands, by any name that AWS
// has for the place.
func TestLocation(t *testing.T) {
	h := raiseWith(t, server.Config{Data: t.TempDir(), Place: strait.Place{Region: "eu-west-1", Account: "123456789012"}})
	c := h.client(h.http)
	in := func(bucket string, place types.BucketLocationConstraint) error {
		_, err := c.CreateBucket(h.ctx, &s3.CreateBucketInput{Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: place}})
		return err
	}
	for bucket, place := range map[string]types.BucketLocationConstraint{"old": "EU", "new": "eu-west-1"} {
		h.must(in(bucket, place))
		out, err := c.GetBucketLocation(h.ctx, &s3.GetBucketLocationInput{Bucket: &bucket})
		h.must(err)
		if out.LocationConstraint != "eu-west-1" {
			t.Errorf("made in %s: it lies in %q", place, out.LocationConstraint)
		}
	}
	refused(t, "another region", in("far", "eu-central-1"), "IllegalLocationConstraintException", 400)
	refused(t, "no region", in("nowhere", "atlantis"), "InvalidLocationConstraint", 400)
	refused(t, "one's own again", in("new", "eu-west-1"), "BucketAlreadyOwnedByYou", 409)
}

// TestCreateAgain: in us-east-1 one's own bucket may be made again, as scripts
// do, and keeps what it holds; with other tags it may not.
func TestCreateAgain(t *testing.T) {
	h := raiseWith(t, server.Config{Data: t.TempDir(), Place: strait.Place{Region: "us-east-1", Account: "123456789012"}})
	c := h.client(h.http)
	b := h.bucket(c, "again")
	put(h, c, b, "k", "x")
	h.bucket(c, b)
	if got := get(h, c, b, "k"); got != "x" {
		t.Errorf("the object is %q now", got)
	}
	_, err := c.CreateBucket(h.ctx, &s3.CreateBucketInput{Bucket: &b, CreateBucketConfiguration: &types.CreateBucketConfiguration{Tags: []types.Tag{{Key: ptr("a"), Value: ptr("1")}}}})
	refused(t, "with tags", err, "BucketAlreadyOwnedByYou", 409)
}
