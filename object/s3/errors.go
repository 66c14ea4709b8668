package s3

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"strait"
)

// told are the failures of the other store that concern the caller, in this
// store's words.
var told = map[string]struct {
	kind        strait.Kind
	thing, text string
}{
	"NoSuchBucket":            {strait.NotFound, "bucket", "the specified bucket does not exist"},
	"NoSuchKey":               {strait.NotFound, "key", "the specified key does not exist"},
	"NoSuchUpload":            {strait.NotFound, "upload", "the specified multipart upload does not exist: its id may be invalid, or it has been aborted or completed"},
	"BucketAlreadyOwnedByYou": {strait.Exists, "bucket", "the bucket exists already"},
	"BucketAlreadyExists":     {strait.Exists, "bucket", "the bucket exists already"},
	"BucketNotEmpty":          {strait.Conflict, "bucket not empty", "the bucket you tried to delete is not empty"},
	"BadDigest":               {strait.Invalid, "digest", "the checksum you specified did not match what was received"},
	"InvalidDigest":           {strait.Invalid, "digest", "the checksum you specified did not match what was received"},
	"EntityTooLarge":          {strait.TooLarge, "object", "your proposed upload exceeds the maximum allowed size"},
	"EntityTooSmall":          {strait.Invalid, "part size", "a part is smaller than the minimum allowed size"},
	"InvalidPart":             {strait.Invalid, "part", "a part could not be found, or its ETag is another one"},
	"InvalidPartOrder":        {strait.Invalid, "part order", "the list of parts was not in ascending order of part numbers"},
	"KeyTooLongError":         {strait.Invalid, "key", "the object's key is too long for the store behind this server"},
	"MetadataTooLarge":        {strait.TooLarge, "metadata", "the metadata are too large for the store behind this server"},
	"NotImplemented":          {strait.Unsupported, "operation", "the store behind this server does not offer this"},
}

// failure says what went wrong in this store's words. Whatever is the other
// store's own affair, its refusal of Strait's credentials, too, is not the
// caller's fault and may pass: Unavailable, with the cause for the log.
func failure(err error, c condition) error {
	var known *strait.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	code := codeOf(err)
	if t, ok := told[code]; ok {
		return strait.Errorf(t.kind, t.thing, "%s", t.text)
	}
	switch status := statusOf(err); {
	case code == "PreconditionFailed" || status == http.StatusPreconditionFailed:
		if c.ifNoneMatch {
			return strait.Errorf(strait.Precondition, "if-none-match", "there is such an object already")
		}
		return strait.Errorf(strait.Precondition, "if-match", "the object has another ETag")
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return strait.Errorf(strait.Unavailable, "store", "the store behind this server refused the server's own request: %w", err)
	}
	return strait.Errorf(strait.Unavailable, "store", "the store behind this server failed or could not be reached: %w", err)
}

// codeOf is the other store's word for a failure, "" when there was none.
func codeOf(err error) string {
	var a smithy.APIError
	if errors.As(err, &a) {
		return a.ErrorCode()
	}
	return ""
}

func statusOf(err error) int {
	var r *smithyhttp.ResponseError
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

// missing tells an answer to HEAD, which has no words.
func missing(err error) bool { return statusOf(err) == http.StatusNotFound }

func noBucket() error {
	return strait.Errorf(strait.NotFound, "bucket", "the specified bucket does not exist")
}

func noKey() error { return strait.Errorf(strait.NotFound, "key", "the specified key does not exist") }

func noUpload() error {
	return strait.Errorf(strait.NotFound, "upload", "%s", told["NoSuchUpload"].text)
}
