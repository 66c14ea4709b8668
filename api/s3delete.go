package api

import (
	"context"
	"encoding/xml"
	"strings"

	"strait"
	"strait/authz"
	"strait/object"
	"strait/policy"
)

type deleteObjectInput struct {
	Bucket    string `aws:"path,Bucket"`
	Key       string `aws:"path,Key"`
	VersionID string `aws:"query,versionId"`
	IfMatch   string `aws:"header,If-Match"`
	IfTime    string `aws:"header,X-Amz-If-Match-Last-Modified-Time"`
	IfSize    string `aws:"header,X-Amz-If-Match-Size"`
}

func (k s3Desk) mayDelete(_ context.Context, _ View, _ *Caller, in *deleteObjectInput) ([]Ask, error) {
	if err := validVersion(in.VersionID); err != nil {
		return nil, err
	}
	// A delete that overlooks its condition destroys what it must not. These
	// are for directory buckets only, with AWS, too.
	if in.IfTime+in.IfSize != "" {
		return nil, strait.Errorf(strait.Unsupported, "header", "A header you provided implies functionality that is not implemented: x-amz-if-match-*")
	}
	return deleteAsks(in.Bucket, in.Key, in.VersionID, in.IfMatch, authz.Required), nil
}

// deleteAsks: a condition on the ETag tells what the object is like, so that
// s3:GetObject is needed, too [S3 UG, conditional deletes].
func deleteAsks(bucket, key, version, ifMatch string, mode authz.Mode) []Ask {
	arn := strait.S3(bucket + "/" + key)
	if ifMatch == "" {
		return []Ask{{Action: ofVersion("s3:DeleteObject", version), Resource: arn, Mode: mode}}
	}
	x := policy.Context{}
	x.Set("s3:if-match", ifMatch)
	asks := []Ask{{Action: ofVersion("s3:DeleteObject", version), Resource: arn, Context: x, Mode: mode}}
	if ifMatch != "*" {
		asks = append(asks, Ask{Action: ofVersion("s3:GetObject", version), Resource: arn, Context: x, Mode: mode})
	}
	return asks
}

// ofVersion is the action when a version is named: even the only one asks for
// another permission, as on AWS.
func ofVersion(action strait.Action, version string) strait.Action {
	if version != "" {
		return action + "Version"
	}
	return action
}

func (k s3Desk) deleteObject(ctx context.Context, c Call, in *deleteObjectInput) (*Nothing, error) {
	return nil, k.remove(ctx, c.Caller, in.Bucket, in.Key, in.IfMatch)
}

func (k s3Desk) remove(ctx context.Context, c *Caller, bucket, key, ifMatch string) error {
	also, err := k.note(ctx, c, "ObjectRemoved:Delete", bucket, key)
	if err != nil {
		return err
	}
	return k.store.Delete(ctx, bucket, key, object.DeleteOptions{IfMatch: strings.Trim(ifMatch, `"`), Also: also})
}

type deleteObjectsInput struct {
	Bucket string `aws:"path,Bucket"`
	Mark   string `aws:"query,delete"`
	bodySums
	Delete struct {
		XMLName xml.Name        `xml:"Delete"`
		Object  []deleteItemXML `xml:"Object"`
		Quiet   bool
	} `aws:"xml"`
}

type deleteItemXML struct {
	Key       string
	VersionId string
	ETag      string
	Other     strangers `xml:",any"` // conditions that must not be overlooked
}

type deleteResult struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedXML
	Error   []deleteErrorXML
}

type deletedXML struct{ Key string }

type deleteErrorXML struct{ Key, Code, Message string }

// mayDeleteMany asks for each key by itself: one that is refused is told so,
// the others go.
func (k s3Desk) mayDeleteMany(_ context.Context, _ View, _ *Caller, in *deleteObjectsInput) ([]Ask, error) {
	if !in.said {
		return nil, strait.Errorf(strait.Invalid, "request", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	if n := len(in.Delete.Object); n == 0 || n > 1000 {
		return nil, malformedXML()
	}
	var asks []Ask
	for _, o := range in.Delete.Object {
		if err := o.Other.refused("DeleteObjects"); err != nil {
			return nil, err
		}
		asks = append(asks, deleteAsks(in.Bucket, o.Key, o.VersionId, o.ETag, authz.PerItem)...)
	}
	return asks, nil
}

func (k s3Desk) deleteObjects(ctx context.Context, c Call, in *deleteObjectsInput) (*document[deleteResult], error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	var out deleteResult
	verdicts := c.Verdicts
	for _, o := range in.Delete.Object {
		mine := len(deleteAsks(in.Bucket, o.Key, o.VersionId, o.ETag, authz.PerItem))
		code, message := k.deleteItem(ctx, c.Caller, in.Bucket, o, verdicts[:mine])
		verdicts = verdicts[mine:]
		switch {
		case code != "":
			out.Error = append(out.Error, deleteErrorXML{o.Key, code, message})
		case !in.Delete.Quiet:
			out.Deleted = append(out.Deleted, deletedXML{o.Key})
		}
	}
	return xmlOf(out), nil
}

// deleteItem deletes one object; code is "" when it is gone.
func (k s3Desk) deleteItem(ctx context.Context, c *Caller, bucket string, o deleteItemXML, verdicts []authz.Verdict) (code, message string) {
	for _, v := range verdicts {
		if !v.Allowed {
			return "AccessDenied", v.Err.Message
		}
	}
	if o.VersionId != "" && o.VersionId != "null" {
		return "NoSuchVersion", "Versions are not kept here."
	}
	switch err := k.remove(ctx, c, bucket, o.Key, o.ETag); {
	case err == nil:
		return "", ""
	case strait.KindOf(err) == strait.Precondition:
		return "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
	case strait.KindOf(err) == strait.NotFound:
		return "NoSuchKey", "The specified key does not exist."
	case strait.KindOf(err) == strait.Invalid:
		return "KeyTooLongError", plainly(err)
	case strait.KindOf(err) == strait.Unavailable:
		return "SlowDown", plainly(err)
	default:
		return "InternalError", plainly(err)
	}
}
