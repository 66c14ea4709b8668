package setup

import (
	"time"

	"strait"
)

// An UploadInput says what the upload pattern is to be made of. Only Bucket
// is required; empty names get their defaults.
type UploadInput struct {
	Bucket string
	// Things may ask for credentials; none given: all. A later run adds to the
	// things of earlier ones and takes none away. Certificates that the things
	// already have get the policy attached.
	Things []string
	// Strict gives s3:PutObject alone; otherwise s3:AbortMultipartUpload, too.
	Strict bool
	// TrustAccount makes the upload role trust the whole account, so that IAM
	// decides who may assume it; otherwise it trusts the function's role alone.
	TrustAccount bool
	// VendFile is the built cmd/strait-vend for Linux; "": it is built with Go,
	// or found beside this program.
	VendFile string
	// Endpoint is where devices are told to find S3; "": the session's.
	Endpoint string

	FunctionName string // default "create-token"
	FunctionRole string // default "create-token"
	UploadRole   string // default "s3-role"
	RuleName     string // default "create_token"; rules' names take no hyphen
	ThingPolicy  string // default DefaultThingPolicy

	// DryRun logs the steps with their documents and changes nothing.
	DryRun bool
	// Patience bounds the wait for one change to spread on AWS; 0: 90 s.
	Patience time.Duration
	// Log is told of every step when it is done; nil: nobody is.
	Log func(step, detail string)
}

// DefaultThingPolicy is the IoT policy that Upload and Thing share.
const DefaultThingPolicy = "strait-upload-thing"

// A Result names what Upload made or found.
type Result struct {
	Bucket       string
	FunctionRole strait.ARN
	UploadRole   strait.ARN
	Function     strait.ARN
	Rule         strait.ARN
	ThingPolicy  strait.ARN
	// Changed has a line for everything that was made or changed, or would be
	// in a dry run; empty: all was as it should be.
	Changed []string
}
