package api

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"strait"
	"strait/identity"
	"strait/object"
	"strait/object/lifecycle"
	"strait/object/notify"
	"strait/object/settings"
	"strait/policy"
)

// An S3Config is what the Simple Storage Service works with.
type S3Config struct {
	Directory *identity.Directory
	Store     object.Store
	Region    string
	Now       func() time.Time

	Lifecycle     *settings.Kept[lifecycle.Configuration]
	Notifications *settings.Kept[notify.Configuration]
	Tags          *settings.Kept[map[string]string] // of buckets
	Notify        *notify.Engine
	// Encrypted: the operator has said that what the store writes lies on an
	// encrypted disk.
	Encrypted bool
	// Target returns nil when the function could be told what happens in the
	// bucket, and otherwise why not.
	Target func(ctx context.Context, bucket string, function strait.ARN, trace string) error
}

func (c S3Config) account() string {
	if c.Directory == nil {
		return "" // a table that nobody is served from
	}
	return c.Directory.Place().Account
}

func (c S3Config) desk() s3Desk {
	return s3Desk{S3Config: c, directory: c.Directory, store: c.Store, region: c.Region, now: c.Now, making: new(sync.Mutex)}
}

// S3 returns the table of the Simple Storage Service (s3-upload.md).
func S3(c S3Config) Service {
	k := c.desk()
	return Service{
		Name: "s3", Scopes: []string{"s3"}, Protocol: "rest-xml", Account: c.account(),
		Operations: append(k.fixed(), []Operation{
			op("ListBuckets", "GET /", k.mayListBuckets, k.listBuckets),
			op("CreateBucket", "PUT /{Bucket}", k.mayCreateBucket, k.createBucket),
			op("HeadBucket", "HEAD /{Bucket}", onBucket[bucketInput]("s3:ListBucket"), k.headBucket).open(),
			op("DeleteBucket", "DELETE /{Bucket}", onBucket[bucketInput]("s3:DeleteBucket"), k.deleteBucket).status(204),
			op("GetBucketLocation", "GET /{Bucket}?location", onBucket[bucketInput]("s3:GetBucketLocation"), k.getLocation),
			op("PutBucketPolicy", "PUT /{Bucket}?policy", onBucket[putPolicyInput]("s3:PutBucketPolicy"), k.putPolicy).status(204),
			op("GetBucketPolicy", "GET /{Bucket}?policy", onBucket[bucketInput]("s3:GetBucketPolicy"), k.getPolicy),
			op("DeleteBucketPolicy", "DELETE /{Bucket}?policy", onBucket[bucketInput]("s3:DeleteBucketPolicy"), k.deletePolicy).status(204),
			op("PutBucketLifecycleConfiguration", "PUT /{Bucket}?lifecycle", onBucket[putLifecycleInput]("s3:PutLifecycleConfiguration"), k.putLifecycle),
			op("GetBucketLifecycleConfiguration", "GET /{Bucket}?lifecycle", onBucket[bucketInput]("s3:GetLifecycleConfiguration"), k.getLifecycle),
			op("DeleteBucketLifecycle", "DELETE /{Bucket}?lifecycle", onBucket[bucketInput]("s3:PutLifecycleConfiguration"), k.deleteLifecycle).status(204),
			op("PutBucketNotificationConfiguration", "PUT /{Bucket}?notification", onBucket[putNotificationInput]("s3:PutBucketNotification"), k.putNotification),
			op("GetBucketNotificationConfiguration", "GET /{Bucket}?notification", onBucket[bucketInput]("s3:GetBucketNotification"), k.getNotification),
			op("PutBucketTagging", "PUT /{Bucket}?tagging", k.mayPutBucketTagging, k.putBucketTagging).status(204),
			op("GetBucketTagging", "GET /{Bucket}?tagging", onBucket[bucketInput]("s3:GetBucketTagging"), k.getBucketTagging),
			op("DeleteBucketTagging", "DELETE /{Bucket}?tagging", onBucket[bucketInput]("s3:PutBucketTagging"), k.deleteBucketTagging).status(204),
			op("ListObjectsV2", "GET /{Bucket}?list-type=2", k.mayList, k.listObjects).open(),
			op("ListObjects", "GET /{Bucket}", k.mayListOld, k.listObjectsOld).open(),
			op("ListObjectVersions", "GET /{Bucket}?versions", k.mayListVersions, k.listVersions),
			op("ListMultipartUploads", "GET /{Bucket}?uploads", onBucket[listUploadsInput]("s3:ListBucketMultipartUploads"), k.listUploads),
			op("DeleteObjects", "POST /{Bucket}?delete", k.mayDeleteMany, k.deleteObjects),

			op("CopyObject", "PUT /{Bucket}/{Key+} X-Amz-Copy-Source", making(true, k.mayCopy), k.copyObject),
			op("GetObjectTagging", "GET /{Bucket}/{Key+}?tagging", k.onTagging("s3:GetObjectTagging"), k.getTagging),
			op("PutObjectTagging", "PUT /{Bucket}/{Key+}?tagging", k.mayPutTagging, k.putTagging),
			op("DeleteObjectTagging", "DELETE /{Bucket}/{Key+}?tagging", k.onTagging("s3:DeleteObjectTagging"), k.deleteTagging).status(204),
			op("GetObjectAttributes", "GET /{Bucket}/{Key+}?attributes", k.mayGetAttributes, k.getAttributes),
			op("PostObject", "POST /{Bucket}", making(true, k.mayPost), k.postObject).open(),
			op("PutObject", "PUT /{Bucket}/{Key+}", making(true, k.mayPut), k.putObject).open(),
			op("GetObject", "GET /{Bucket}/{Key+}", k.mayGet, k.getObject).open(),
			op("HeadObject", "HEAD /{Bucket}/{Key+}", k.mayGet, k.headObject).open(),
			op("DeleteObject", "DELETE /{Bucket}/{Key+}", k.mayDelete, k.deleteObject).status(204).open(),

			op("CreateMultipartUpload", "POST /{Bucket}/{Key+}?uploads", making(false, k.mayCreateUpload), k.createUpload),
			op("UploadPart", "PUT /{Bucket}/{Key+}?partNumber&uploadId", making(false, k.mayPutPart), k.uploadPart),
			op("UploadPartCopy", "PUT /{Bucket}/{Key+}?partNumber&uploadId X-Amz-Copy-Source", making(false, k.mayCopyPart), k.copyPart),
			op("CompleteMultipartUpload", "POST /{Bucket}/{Key+}?uploadId", making(true, k.mayComplete), k.completeUpload),
			op("AbortMultipartUpload", "DELETE /{Bucket}/{Key+}?uploadId", onObject[uploadInput]("s3:AbortMultipartUpload"), k.abortUpload).status(204),
			op("ListParts", "GET /{Bucket}/{Key+}?uploadId", onObject[listPartsInput]("s3:ListMultipartUploadParts"), k.listParts),
		}...),
	}
}

type s3Desk struct {
	S3Config
	directory *identity.Directory
	store     object.Store
	region    string
	now       func() time.Time
	making    *sync.Mutex // of buckets: held while one is made or deleted
}

// inBucket and inObject are inputs that name their place. The name is the same
// string that the store is given: what is authorized is what is stored.
type inBucket interface{ bucket() string }
type inObject interface{ object() (bucket, key string) }

func onBucket[In any, P interface {
	*In
	inBucket
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, _ View, _ *Caller, in *In) ([]Ask, error) {
		return ask(action, strait.S3(P(in).bucket())), nil
	}
}

func onObject[In any, P interface {
	*In
	inObject
}](action strait.Action) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, _ View, _ *Caller, in *In) ([]Ask, error) {
		b, k := P(in).object()
		return ask(action, strait.S3(b+"/"+k)), nil
	}
}

type bucketInput struct {
	Bucket string `aws:"path,Bucket"`
}

func (in *bucketInput) bucket() string { return in.Bucket }

type owner struct {
	ID          string
	DisplayName string `xml:",omitempty"`
}

const s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// document puts v into an answer as its XML.
type document[T any] struct {
	XML *T `aws:"xml"`
}

func xmlOf[T any](v T) *document[T] { return &document[T]{&v} }

type listBucketsInput struct {
	XID    string `aws:"query,x-id"`
	Prefix string `aws:"query,prefix"`
	Max    *int   `aws:"query,max-buckets"`
	Token  string `aws:"query,continuation-token"`
	Region string `aws:"query,bucket-region"`
}

type listAllMyBucketsResult struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner   owner
	Buckets []bucketXML `xml:"Buckets>Bucket"`
	Prefix  string      `xml:",omitempty"`
	Next    string      `xml:"ContinuationToken,omitempty"`
}

type bucketXML struct {
	Name         string
	CreationDate MilliStamp
}

func (k s3Desk) mayListBuckets(context.Context, View, *Caller, *listBucketsInput) ([]Ask, error) {
	return ask("s3:ListAllMyBuckets", "*"), nil
}

func (k s3Desk) owner() owner { return owner{ID: k.directory.Place().Account} }

func (k s3Desk) listBuckets(ctx context.Context, _ Call, in *listBucketsInput) (*document[listAllMyBucketsResult], error) {
	most := 10000
	if in.Max != nil {
		if most = *in.Max; most < 1 || most > 10000 {
			return nil, badArgument("max-buckets", strconv.Itoa(most), "Argument max-buckets must be an integer between 1 and 10000")
		}
	}
	after, err := base64.URLEncoding.DecodeString(in.Token)
	if err != nil {
		return nil, badArgument("continuation-token", in.Token, "The continuation token provided is incorrect")
	}
	bs, err := k.store.Buckets(ctx)
	if err != nil {
		return nil, err
	}
	out := listAllMyBucketsResult{Owner: k.owner(), Prefix: in.Prefix}
	for _, b := range bs { // sorted by name
		if !strings.HasPrefix(b.Name, in.Prefix) || b.Name <= string(after) || in.Region != "" && in.Region != k.region {
			continue
		}
		if n := len(out.Buckets); n == most {
			out.Next = base64.URLEncoding.EncodeToString([]byte(out.Buckets[n-1].Name))
			break
		}
		out.Buckets = append(out.Buckets, bucketXML{b.Name, MilliStamp(b.Created)})
	}
	return xmlOf(out), nil
}

type createBucketInput struct {
	Bucket        string            `aws:"path,Bucket"`
	ACL           string            `aws:"header,X-Amz-Acl"`
	Grants        map[string]string `aws:"headers,X-Amz-Grant-"`
	Lock          bool              `aws:"header,X-Amz-Bucket-Object-Lock-Enabled"`
	Ownership     string            `aws:"header,X-Amz-Object-Ownership"`
	Namespace     string            `aws:"header,X-Amz-Bucket-Namespace"`
	Configuration struct {
		LocationConstraint string
		Tag                []tagXML  `xml:"Tags>Tag"`
		Other              strangers `xml:",any"`
	} `aws:"xml"`

	tags map[string]string
}

// mayCreateBucket refuses what a bucket cannot be here: whoever asks for a lock
// or for access of others relies on it.
func (k s3Desk) mayCreateBucket(_ context.Context, _ View, _ *Caller, in *createBucketInput) (_ []Ask, err error) {
	if err := in.Configuration.Other.refused("a bucket's configuration"); err != nil {
		return nil, err
	}
	switch {
	case in.ACL != "" && in.ACL != "private" || len(in.Grants) > 0:
		return nil, strait.Errorf(strait.Invalid, "bucket acl", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	case in.Lock:
		return nil, notOfferedHeader("x-amz-bucket-object-lock-enabled")
	case in.Namespace != "" && in.Namespace != "global":
		return nil, notOfferedHeader("x-amz-bucket-namespace other than global")
	case in.Ownership == "BucketOwnerPreferred" || in.Ownership == "ObjectWriter":
		return nil, notOfferedHeader("x-amz-object-ownership other than BucketOwnerEnforced")
	case in.Ownership != "" && in.Ownership != "BucketOwnerEnforced":
		return nil, badArgument("x-amz-object-ownership", in.Ownership, "Invalid x-amz-object-ownership header: %.40s", in.Ownership)
	}
	if in.tags, err = (tagsXML{Tag: in.Configuration.Tag}).tags(maxBucketTags); err != nil {
		return nil, err
	}
	asks := ask("s3:CreateBucket", strait.S3(in.Bucket))
	if len(in.tags) > 0 {
		asks = append(asks, Ask{Action: "s3:PutBucketTagging", Resource: strait.S3(in.Bucket), Context: bucketTagContext(in.tags)})
	}
	return asks, nil
}

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)

type createBucketOutput struct {
	Location string     `aws:"header,Location"`
	ARN      strait.ARN `aws:"header,x-amz-bucket-arn"`
}

func (k s3Desk) createBucket(ctx context.Context, c Call, in *createBucketInput) (*createBucketOutput, error) {
	l := in.Configuration.LocationConstraint
	if l == "EU" { // eu-west-1, when it was the only one there
		l = "eu-west-1"
	}
	if l != "" && !regionName.MatchString(l) {
		return nil, strait.Errorf(strait.Invalid, "no location", "The specified location-constraint is not valid")
	}
	if l != "" && l != k.region {
		return nil, strait.Errorf(strait.Invalid, "location", "The %s location constraint is incompatible for the region specific endpoint this request was sent to.", l)
	}
	if err := object.ValidBucket(in.Bucket); err != nil {
		return nil, err
	}
	// Only one at a time: the policy of a bucket that another has just made must
	// not be taken for one that was left behind.
	k.making.Lock()
	defer k.making.Unlock()
	if _, err := k.store.Bucket(ctx, in.Bucket); strait.KindOf(err) != strait.NotFound {
		if err == nil && k.region == "us-east-1" && len(in.tags) == 0 {
			// There alone S3 calls it a success [API CreateBucket], and scripts
			// count on that; there are no access lists to reset.
			return &createBucketOutput{"/" + in.Bucket, strait.S3(in.Bucket)}, nil
		}
		if err == nil {
			err = strait.Errorf(strait.Exists, "bucket", "Your previous request to create the named bucket succeeded and you already own it.")
		}
		return nil, err
	}
	// What an earlier bucket of this name left behind must not hold.
	if err := k.dropSettings(ctx, in.Bucket); err != nil {
		return nil, err
	}
	if len(in.tags) > 0 { // before the bucket: a crash in between leaves none without them
		if err := k.Tags.Set(ctx, in.Bucket, in.tags); err != nil {
			return nil, err
		}
	}
	if err := k.store.CreateBucket(ctx, in.Bucket, string(c.Caller.ARN)); err != nil {
		return nil, err
	}
	return &createBucketOutput{"/" + in.Bucket, strait.S3(in.Bucket)}, nil
}

type headBucketOutput struct {
	Region string     `aws:"header,x-amz-bucket-region"`
	ARN    strait.ARN `aws:"header,x-amz-bucket-arn"`
}

func (k s3Desk) headBucket(ctx context.Context, _ Call, in *bucketInput) (*headBucketOutput, error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	return &headBucketOutput{k.region, strait.S3(in.Bucket)}, nil
}

func (k s3Desk) deleteBucket(ctx context.Context, _ Call, in *bucketInput) (*Nothing, error) {
	k.making.Lock()
	defer k.making.Unlock()
	if err := k.store.DeleteBucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	return nil, k.dropSettings(ctx, in.Bucket)
}

type locationConstraint struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
	Region  string   `xml:",chardata"`
}

func (k s3Desk) getLocation(ctx context.Context, _ Call, in *bucketInput) (*document[locationConstraint], error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	if k.region == "us-east-1" {
		return xmlOf(locationConstraint{}), nil
	}
	return xmlOf(locationConstraint{Region: k.region}), nil
}

type putPolicyInput struct {
	Bucket string `aws:"path,Bucket"`
	Policy string `aws:"query,policy"`
	bodySums
	Body *Payload `aws:"payload"`
}

func (in *putPolicyInput) bucket() string { return in.Bucket }

// maxBucketPolicy is AWS's limit (iam-evaluation.md, section 8).
const maxBucketPolicy = 20 << 10

func (k s3Desk) putPolicy(ctx context.Context, _ Call, in *putPolicyInput) (*Nothing, error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	text, err := readAll(in.Body, maxBucketPolicy)
	if err != nil {
		return nil, err
	}
	if err := in.CheckBody(text, in.Body.Trailer()); err != nil {
		return nil, err
	}
	return nil, k.directory.SetResourcePolicy(ctx, policy.Bucket, strait.S3(in.Bucket), string(text), "")
}

type getBucketPolicyOutput struct {
	Type   string `aws:"header,Content-Type"`
	Policy string `aws:"payload"`
}

func (k s3Desk) getPolicy(ctx context.Context, _ Call, in *bucketInput) (*getBucketPolicyOutput, error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	p := k.directory.ResourcePolicy(strait.S3(in.Bucket))
	if p == nil {
		return nil, strait.Errorf(strait.NotFound, "policy", "The bucket policy does not exist")
	}
	return &getBucketPolicyOutput{"application/json", p.Document.Text}, nil
}

func (k s3Desk) deletePolicy(ctx context.Context, _ Call, in *bucketInput) (*Nothing, error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	return nil, k.directory.DropResourcePolicy(ctx, strait.S3(in.Bucket))
}

type objectInput struct {
	Bucket string `aws:"path,Bucket"`
	Key    string `aws:"path,Key"`
}

func (in *objectInput) object() (string, string) { return in.Bucket, in.Key }

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
