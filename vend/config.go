package vend

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"strait"
)

// Names of the variables that ConfigFromEnv reads.
const (
	EnvRole     = "STRAIT_VEND_ROLE_ARN" // required: the upload role
	EnvBucket   = "STRAIT_VEND_BUCKET"   // required
	EnvRegion   = "STRAIT_VEND_REGION"   // of the bucket; default AWS_REGION
	EnvEndpoint = "STRAIT_VEND_ENDPOINT" // of S3 as the device sees it; default none
	EnvStrict   = "STRAIT_VEND_STRICT"   // "true": s3:PutObject only
	EnvDuration = "STRAIT_VEND_DURATION" // seconds, 900 to 3600; default 3600
)

// A Config says what is vended.
type Config struct {
	RoleARN  strait.ARN
	Bucket   string
	Region   string
	Endpoint string        // told to the device; "" means AWS's own
	Strict   bool          // s3:PutObject only, no s3:AbortMultipartUpload
	Duration time.Duration // the longest that a device may get
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ConfigFromEnv reads a Config from the function's variables, such as
// os.Getenv; each error names the variable that is wrong.
func ConfigFromEnv(get func(name string) string) (Config, error) {
	c := Config{RoleARN: strait.ARN(get(EnvRole)), Bucket: get(EnvBucket), Region: get(EnvRegion), Endpoint: get(EnvEndpoint), Duration: MaxDuration}
	if p, err := c.RoleARN.Parse(); err != nil || p.Service != "iam" || !strings.HasPrefix(p.Resource, "role/") {
		return Config{}, fmt.Errorf("%s must be the ARN of the upload role", EnvRole)
	}
	if !bucketName.MatchString(c.Bucket) {
		return Config{}, fmt.Errorf("%s must be the name of the upload bucket", EnvBucket)
	}
	if c.Region == "" {
		c.Region = get("AWS_REGION")
	}
	switch s := get(EnvStrict); s {
	case "", "false", "0":
	case "true", "1":
		c.Strict = true
	default:
		// Not read as "no": a slip of the pen must not widen.
		return Config{}, fmt.Errorf("%s must be true or false", EnvStrict)
	}
	if s := get(EnvDuration); s != "" {
		n, err := strconv.Atoi(s)
		c.Duration = time.Duration(n) * time.Second
		if err != nil || c.Duration < MinDuration || c.Duration > MaxDuration {
			return Config{}, fmt.Errorf("%s must be seconds from 900 to 3600", EnvDuration)
		}
	}
	return c, nil
}

// Native makes a Vendor for one invocation inside the server: get reads the
// function's variables, the Assumer and the Publisher act with its credentials.
func Native(get func(name string) string, a Assumer, p Publisher) (*Vendor, error) {
	c, err := ConfigFromEnv(get)
	if err != nil {
		return nil, err
	}
	return &Vendor{Config: c, Assumer: a, Publisher: p}, nil
}
