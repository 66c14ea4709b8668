package s3_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"strait/api"
)

// An act is one request, and what it is asked for: "GetObject k" is
// s3:GetObject on arn:aws:s3:::acts/k, "ListBucket" is on the bucket, "= X" on
// the resource X.
type act struct {
	operation, method, path string // of the bucket: "?acl" or "k?acl"
	header, body            string // header: "Name: value", or several, with "\n"
	asks                    string // with ", "
}

const tagBody = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"

// acts is the reference's table (s3-upload.md, section 2) for every row.
// UPLOAD stands for the id of an upload of the key u.
var acts = []act{
	{"CreateBucket", "PUT", "", "", "", "CreateBucket"},
	{"CreateBucket", "PUT", "", "", "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>", "CreateBucket, PutBucketTagging"},
	{"HeadBucket", "HEAD", "", "", "", "ListBucket"},
	{"DeleteBucket", "DELETE", "", "", "", "DeleteBucket"},
	{"GetBucketLocation", "GET", "?location", "", "", "GetBucketLocation"},
	{"PutBucketPolicy", "PUT", "?policy", "", "{}", "PutBucketPolicy"},
	{"GetBucketPolicy", "GET", "?policy", "", "", "GetBucketPolicy"},
	{"DeleteBucketPolicy", "DELETE", "?policy", "", "", "DeleteBucketPolicy"},
	{"PutBucketLifecycleConfiguration", "PUT", "?lifecycle", "", "<LifecycleConfiguration/>", "PutLifecycleConfiguration"},
	{"GetBucketLifecycleConfiguration", "GET", "?lifecycle", "", "", "GetLifecycleConfiguration"},
	{"DeleteBucketLifecycle", "DELETE", "?lifecycle", "", "", "PutLifecycleConfiguration"},
	{"PutBucketNotificationConfiguration", "PUT", "?notification", "", "<NotificationConfiguration/>", "PutBucketNotification"},
	{"GetBucketNotificationConfiguration", "GET", "?notification", "", "", "GetBucketNotification"},
	{"PutBucketTagging", "PUT", "?tagging", "", tagBody, "PutBucketTagging"},
	{"GetBucketTagging", "GET", "?tagging", "", "", "GetBucketTagging"},
	{"DeleteBucketTagging", "DELETE", "?tagging", "", "", "PutBucketTagging"},
	{"GetBucketCors", "GET", "?cors", "", "", "GetBucketCORS"},
	{"GetBucketWebsite", "GET", "?website", "", "", "GetBucketWebsite"},
	{"GetBucketReplication", "GET", "?replication", "", "", "GetReplicationConfiguration"},
	{"GetBucketEncryption", "GET", "?encryption", "", "", "GetEncryptionConfiguration"},
	{"GetObjectLockConfiguration", "GET", "?object-lock", "", "", "GetBucketObjectLockConfiguration"},
	{"GetPublicAccessBlock", "GET", "?publicAccessBlock", "", "", "GetBucketPublicAccessBlock"},
	{"GetBucketVersioning", "GET", "?versioning", "", "", "GetBucketVersioning"},
	{"PutBucketVersioning", "PUT", "?versioning", "", "<VersioningConfiguration/>", "PutBucketVersioning"},
	{"GetBucketAccelerateConfiguration", "GET", "?accelerate", "", "", "GetAccelerateConfiguration"},
	{"GetBucketRequestPayment", "GET", "?requestPayment", "", "", "GetBucketRequestPayment"},
	{"GetBucketLogging", "GET", "?logging", "", "", "GetBucketLogging"},
	{"GetBucketOwnershipControls", "GET", "?ownershipControls", "", "", "GetBucketOwnershipControls"},
	{"GetBucketAcl", "GET", "?acl", "", "", "GetBucketAcl"},
	{"ListObjectsV2", "GET", "?list-type=2", "", "", "ListBucket"},
	{"ListObjects", "GET", "", "", "", "ListBucket"},
	{"ListObjectVersions", "GET", "?versions", "", "", "ListBucketVersions"},
	{"ListMultipartUploads", "GET", "?uploads", "", "", "ListBucketMultipartUploads"},

	{"GetObjectAcl", "GET", "k?acl", "", "", "GetObjectAcl k"},
	{"GetObjectTagging", "GET", "k?tagging", "", "", "GetObjectTagging k"},
	{"GetObjectTagging", "GET", "k?tagging&versionId=null", "", "", "GetObjectVersionTagging k"},
	{"PutObjectTagging", "PUT", "k?tagging", "", tagBody, "PutObjectTagging k"},
	{"PutObjectTagging", "PUT", "k?tagging&versionId=null", "", tagBody, "PutObjectVersionTagging k"},
	{"DeleteObjectTagging", "DELETE", "k?tagging", "", "", "DeleteObjectTagging k"},
	{"DeleteObjectTagging", "DELETE", "k?tagging&versionId=null", "", "", "DeleteObjectVersionTagging k"},
	{"GetObjectAttributes", "GET", "k?attributes&versionId=null", "X-Amz-Object-Attributes: ETag", "", "GetObjectVersion k, ListBucket, GetObjectVersionAttributes k"},
	{"GetObjectAttributes", "GET", "k?attributes", "X-Amz-Object-Attributes: ETag", "", "GetObject k, ListBucket, GetObjectAttributes k"},
	{"GetObject", "GET", "k", "", "", "GetObject k, ListBucket"},
	{"GetObject", "GET", "k?versionId=null", "", "", "GetObjectVersion k, ListBucket"},
	{"GetObject", "GET", "k?partNumber=1", "", "", "GetObject k, ListBucket"},
	{"HeadObject", "HEAD", "k", "", "", "GetObject k, ListBucket"},
	{"HeadObject", "HEAD", "k?versionId=null", "", "", "GetObjectVersion k, ListBucket"},
	{"PutObject", "PUT", "n", "", "x", "PutObject n"},
	{"PutObject", "PUT", "n2", "X-Amz-Tagging: a=b", "x", "PutObject n2, PutObjectTagging n2"},
	{"CopyObject", "PUT", "n", "X-Amz-Copy-Source: acts/plain", "", "PutObject n, GetObject plain, ListBucket"},
	{"CopyObject", "PUT", "n2", "X-Amz-Copy-Source: acts/k", "", "PutObject n2, GetObject k, ListBucket, GetObjectTagging k, PutObjectTagging n2"},
	{"CopyObject", "PUT", "n3", "X-Amz-Copy-Source: acts/k\nX-Amz-Tagging-Directive: REPLACE", "", "PutObject n3, GetObject k, ListBucket"},
	{"CopyObject", "PUT", "n4", "X-Amz-Copy-Source: acts/k\nX-Amz-Tagging-Directive: REPLACE\nX-Amz-Tagging: c=d", "", "PutObject n4, PutObjectTagging n4, GetObject k, ListBucket"},
	{"CopyObject", "PUT", "n5", "X-Amz-Copy-Source: acts/k?versionId=null", "", "PutObject n5, GetObjectVersion k, ListBucket, GetObjectVersionTagging k, PutObjectTagging n5"},
	{"CopyObject", "PUT", "k", "X-Amz-Copy-Source: acts/k\nX-Amz-Metadata-Directive: REPLACE\nX-Amz-Tagging-Directive: REPLACE", "", "PutObject k, GetObject k, ListBucket"},
	{"DeleteObject", "DELETE", "k", "", "", "DeleteObject k"},
	{"DeleteObject", "DELETE", "k?versionId=null", "", "", "DeleteObjectVersion k"},
	{"DeleteObject", "DELETE", "k2", "If-Match: \"x\"", "", "DeleteObject k2, GetObject k2"},
	{"DeleteObjects", "POST", "?delete", "", "<Delete><Object><Key>k</Key></Object><Object><Key>a//b</Key><ETag>x</ETag></Object></Delete>", "DeleteObject k, DeleteObject a//b, GetObject a//b"},

	{"CreateMultipartUpload", "POST", "u?uploads", "", "", "PutObject u"},
	{"CreateMultipartUpload", "POST", "u2?uploads", "X-Amz-Tagging: a=b", "", "PutObject u2, PutObjectTagging u2"},
	{"UploadPart", "PUT", "u?partNumber=1&uploadId=UPLOAD", "", "x", "PutObject u"},
	{"UploadPartCopy", "PUT", "u?partNumber=1&uploadId=UPLOAD", "X-Amz-Copy-Source: acts/k", "", "PutObject u, GetObject k, ListBucket"},
	{"UploadPartCopy", "PUT", "u?partNumber=1&uploadId=UPLOAD", "X-Amz-Copy-Source: acts/k?versionId=null\nX-Amz-Copy-Source-Range: bytes=0-0", "", "PutObject u, GetObjectVersion k, ListBucket"},
	{"CompleteMultipartUpload", "POST", "u?uploadId=UPLOAD", "", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>", "PutObject u"},
	{"AbortMultipartUpload", "DELETE", "u?uploadId=UPLOAD", "", "", "AbortMultipartUpload u"},
	{"ListParts", "GET", "u?uploadId=UPLOAD", "", "", "ListMultipartUploadParts u"},
}

// set gives r the headers of an act.
func (a act) set(r *http.Request, names *strings.Replacer) {
	for line := range strings.Lines(a.header) {
		if name, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			r.Header.Set(name, names.Replace(v))
		}
	}
}

// nobody is somebody who is proven and may do nothing.
func (h *house) nobody() aws.Credentials {
	h.t.Helper()
	cfg, err := config.LoadDefaultConfig(h.ctx)
	h.must(err)
	cfg.BaseEndpoint = &h.http
	c := iam.NewFromConfig(cfg)
	_, err = c.CreateUser(h.ctx, &iam.CreateUserInput{UserName: ptr("nobody")})
	h.must(err)
	key, err := c.CreateAccessKey(h.ctx, &iam.CreateAccessKeyInput{UserName: ptr("nobody")})
	h.must(err)
	return aws.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
}

// stock is a bucket with something of everything.
func (h *house) stock(c *s3.Client, name string) (upload string) {
	h.t.Helper()
	b := h.bucket(c, name)
	put(h, c, b, "plain", "x")
	_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &b, Key: ptr("k"), Body: strings.NewReader("x"), Tagging: ptr("a=b")})
	h.must(err)
	u, err := c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: ptr("u")})
	h.must(err)
	return *u.UploadId
}

// TestActions: each operation asks for exactly what the reference says, all of
// it before anything is done. It is played by one who is refused everything,
// because every refusal is recorded.
func TestActions(t *testing.T) {
	h := raise(t)
	c := h.client(h.http)
	upload := h.stock(c, "acts")
	creds := h.nobody()
	played := map[string]bool{}
	check := func(a act, status int, want []string) {
		t.Helper()
		played[a.operation] = true
		var got []string
		for _, r := range h.recorder.Records() {
			if r.Operation == a.operation && r.KeyID == creds.AccessKeyID {
				got = append(got, string(r.Action)+" "+string(r.Resource))
			}
		}
		got = got[len(got)-min(len(got), len(want)):]
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || status != 403 && a.operation != "DeleteObjects" {
			t.Errorf("%s %s %s: %d\n got %q\nwant %q", a.operation, a.method, a.path, status, got, want)
		}
	}
	before := len(h.recorder.Records())
	for _, a := range acts {
		r := h.request(a.method, "/acts", a.path, strings.ReplaceAll(a.body, "UPLOAD", upload))
		if a.path != "" && a.path[0] != '?' {
			r = h.request(a.method, "/acts/", a.path, a.body)
		}
		r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "UPLOAD", upload)
		a.set(r, strings.NewReplacer())
		status, _ := h.as(creds, r)
		var want []string
		for _, ask := range strings.Split(a.asks, ", ") {
			action, key, of := strings.Cut(ask, " ")
			want = append(want, "s3:"+action+" arn:aws:s3:::acts"+map[bool]string{true: "/" + key}[of])
		}
		// Not one more than that.
		if n := len(h.recorder.Records()) - before; n != len(want) {
			t.Errorf("%s %s: %d decisions, want %d", a.operation, a.path, n, len(want))
		}
		before = len(h.recorder.Records())
		check(a, status, want)
	}
	status, _ := h.as(creds, h.request("GET", "/", "", ""))
	check(act{operation: "ListBuckets"}, status, []string{"s3:ListAllMyBuckets *"})
	form, err := s3.NewPresignClient(h.client(h.http, func(o *s3.Options) { o.Credentials = static(creds) })).PresignPostObject(h.ctx, &s3.PutObjectInput{Bucket: ptr("acts"), Key: ptr("form")})
	h.must(err)
	status, _, _ = post(h, form.URL, form.Values, "f", "x")
	check(act{operation: "PostObject"}, status, []string{"s3:PutObject arn:aws:s3:::acts/form"})
	for _, o := range api.S3(api.S3Config{}).Operations {
		if !played[o.Name] {
			t.Errorf("%s is not played", o.Name)
		}
	}
	// Nothing happened.
	page, err := c.ListObjectsV2(h.ctx, &s3.ListObjectsV2Input{Bucket: ptr("acts")})
	h.must(err)
	if len(page.Contents) != 2 {
		t.Errorf("the bucket holds %d objects, want 2", len(page.Contents))
	}
}

// TestNarrowSession: a session of a role that may do everything, limited to
// s3:PutObject on bucket/thing/*, can create, send and complete there, sign URLs
// and forms for that, and nothing beside it or more.
func TestNarrowSession(t *testing.T) {
	h := raise(t)
	admin := h.client(h.http)
	upload := h.stock(admin, "acts")
	put(h, admin, "acts", "thing/there", "x")
	h.bucket(admin, "elsewhere")
	c, creds := h.narrow("s3:PutObject", "arn:aws:s3:::acts/thing/*")
	b := ptr("acts")
	create := func(bucket, key string) error {
		_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
		return err
	}
	// 1. There it can.
	inside := []string{"thing/a", "thing/a//b", "thing/../other/x", "thing/.", "thing/ü?*$&", "thing/"}
	for _, key := range inside {
		h.must(create("acts", key))
		if got := get(h, admin, "acts", key); got != "x" {
			t.Errorf("%s holds %q", key, got)
		}
	}
	up, err := c.CreateMultipartUpload(h.ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: ptr("thing/large")})
	h.must(err)
	var parts []types.CompletedPart
	for n, size := range []int{5 << 20, 1} {
		p, err := c.UploadPart(h.ctx, &s3.UploadPartInput{Bucket: b, Key: ptr("thing/large"), UploadId: up.UploadId, PartNumber: ptr(int32(n + 1)), Body: strings.NewReader(strings.Repeat("x", size))})
		h.must(err)
		parts = append(parts, types.CompletedPart{PartNumber: ptr(int32(n + 1)), ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32})
	}
	_, err = c.CompleteMultipartUpload(h.ctx, &s3.CompleteMultipartUploadInput{Bucket: b, Key: ptr("thing/large"), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	h.must(err)
	signer := s3.NewPresignClient(c)
	url, err := signer.PresignPutObject(h.ctx, &s3.PutObjectInput{Bucket: b, Key: ptr("thing/signed")})
	h.must(err)
	if status, said, _ := send(h, "PUT", url.URL, "", "x"); status != 200 {
		t.Errorf("a presigned URL inside: %d %s", status, said)
	}
	form, err := signer.PresignPostObject(h.ctx, &s3.PutObjectInput{Bucket: b, Key: ptr("thing/form")})
	h.must(err)
	if status, said, _ := post(h, form.URL, form.Values, "f", "x"); status != 204 {
		t.Errorf("a form inside: %d %s", status, said)
	}
	// 2. Beside it, it cannot, however the name is written.
	for _, at := range []string{"acts thing", "acts thingx/a", "acts Thing/a", "acts other/a", "acts /thing/a", "acts x/thing/a", "acts thing\\a", "elsewhere thing/a"} {
		bucket, key, _ := strings.Cut(at, " ")
		refused(t, at, create(bucket, key), "AccessDenied", 403)
	}
	url, err = signer.PresignPutObject(h.ctx, &s3.PutObjectInput{Bucket: b, Key: ptr("other/signed")})
	h.must(err)
	if status, said, _ := send(h, "PUT", url.URL, "", "x"); status != 403 {
		t.Errorf("a presigned URL outside: %d %s", status, said)
	}
	if form, err = signer.PresignPostObject(h.ctx, &s3.PutObjectInput{Bucket: b, Key: ptr("other/form")}); err != nil {
		t.Fatal(err)
	}
	if status, said, _ := post(h, form.URL, form.Values, "f", "x"); status != 403 {
		t.Errorf("a form outside: %d %s", status, said)
	}
	// 3. More than that it cannot, of all that there is.
	mine := map[string]bool{"PutObject": true, "CreateMultipartUpload": true, "UploadPart": true, "CompleteMultipartUpload": true}
	for _, a := range acts {
		for _, key := range []string{"", "thing/"} {
			if key != "" && (a.path == "" || a.path[0] == '?') || mine[a.operation] && key != "" && !strings.Contains(a.asks, ",") {
				continue
			}
			path := a.path
			if path == "" || path[0] == '?' {
				path = "/acts" + path
			} else {
				path = "/acts/" + key + path
			}
			r := h.request(a.method, path, "", strings.ReplaceAll(a.body, "<Key>k<", "<Key>"+key+"k<"))
			r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "UPLOAD", upload)
			a.set(r, strings.NewReplacer("acts/", "acts/"+key))
			status, said := h.as(creds, r)
			if a.operation == "DeleteObjects" {
				if strings.Count(said, "<Code>AccessDenied</Code>") != 2 || strings.Contains(said, "<Deleted>") {
					t.Errorf("DeleteObjects: %d %s", status, said)
				}
				continue
			}
			if status != 403 || a.method != "HEAD" && !strings.Contains(said, "<Code>AccessDenied</Code>") {
				t.Errorf("%s %s: %d %s", a.operation, r.URL, status, said)
			}
		}
	}
	if status, said := h.as(creds, h.request("GET", "/", "", "")); status != 403 {
		t.Errorf("ListBuckets: %d %s", status, said)
	}
	if got := get(h, admin, "acts", "k"); got != "x" {
		t.Errorf("k holds %q", got)
	}
}

// narrow returns a client with a session of a role that may do everything, which
// its session policy limits.
func (h *house) narrow(action, resource string) (*s3.Client, aws.Credentials) {
	h.t.Helper()
	cfg, err := config.LoadDefaultConfig(h.ctx)
	h.must(err)
	cfg.BaseEndpoint = &h.http
	role, err := iam.NewFromConfig(cfg).CreateRole(h.ctx, &iam.CreateRoleInput{RoleName: ptr("wide"), AssumeRolePolicyDocument: ptr(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"AWS": "` + h.ready.Account + `"}, "Action": "sts:AssumeRole"}]}`)})
	h.must(err)
	_, err = iam.NewFromConfig(cfg).AttachRolePolicy(h.ctx, &iam.AttachRolePolicyInput{RoleName: ptr("wide"), PolicyArn: ptr("arn:aws:iam::aws:policy/AdministratorAccess")})
	h.must(err)
	out, err := sts.NewFromConfig(cfg).AssumeRole(h.ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: ptr("thing"),
		Policy: ptr(fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": %q, "Resource": %q}]}`, action, resource))})
	h.must(err)
	creds := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
	return h.client(h.http, func(o *s3.Options) { o.Credentials = static(creds) }), creds
}

func static(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

// request makes one that is not signed yet.
func (h *house) request(method, path, more, body string) *http.Request {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.ctx, method, h.http+path+more, strings.NewReader(body))
	h.must(err)
	if strings.HasSuffix(path+more, "?delete") { // the one that must say what its body is
		sum := md5.Sum([]byte(body))
		r.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	return r
}

// as signs a request and sends it.
func (h *house) as(creds aws.Credentials, r *http.Request) (status int, said string) {
	h.t.Helper()
	h.must(sign(h, creds, r, time.Now()))
	resp, err := h.web.Do(r)
	h.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	h.must(err)
	return resp.StatusCode, string(b)
}
