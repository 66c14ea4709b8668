package strait

import (
	"fmt"
	"strings"
)

// An ARN names one thing, such as "arn:aws:s3:::bucket/device00/log". Its six
// parts are separated by the first five colons; the last part may hold more.
type ARN string

// ARNParts are the six parts of an ARN, without "arn".
type ARNParts struct {
	Partition, Service, Region, Account, Resource string
}

// Parse splits a into its parts. It fails when a is not "arn:" and five more
// parts; it does not judge the parts themselves.
func (a ARN) Parse() (ARNParts, error) {
	p := strings.SplitN(string(a), ":", 6)
	if len(p) != 6 || p[0] != "arn" {
		return ARNParts{}, fmt.Errorf("%q is not an ARN: want arn:partition:service:region:account:resource", string(a))
	}
	return ARNParts{p[1], p[2], p[3], p[4], p[5]}, nil
}

// Resource returns the sixth part, or "" when a is not an ARN.
func (a ARN) Resource() string {
	p, err := a.Parse()
	if err != nil {
		return ""
	}
	return p.Resource
}

// String puts the parts together again.
func (p ARNParts) String() string {
	return "arn:" + p.Partition + ":" + p.Service + ":" + p.Region + ":" + p.Account + ":" + p.Resource
}

// A Place is where resources live: one partition, region and account. Strait
// serves exactly one.
type Place struct {
	Region, Account string
}

// IoT returns the ARN of an IoT resource such as "topic/a/b" or "thing/x".
func (p Place) IoT(resource string) ARN {
	return ARN("arn:aws:iot:" + p.Region + ":" + p.Account + ":" + resource)
}

// IAM returns the ARN of an IAM resource such as "role/path/R"; IAM has no region.
func (p Place) IAM(resource string) ARN {
	return ARN("arn:aws:iam::" + p.Account + ":" + resource)
}

// STS returns the ARN of an STS resource such as "assumed-role/R/S"; it has no region.
func (p Place) STS(resource string) ARN {
	return ARN("arn:aws:sts::" + p.Account + ":" + resource)
}

// Lambda returns the ARN of the function called name.
func (p Place) Lambda(name string) ARN {
	return ARN("arn:aws:lambda:" + p.Region + ":" + p.Account + ":function:" + name)
}

// S3 returns the ARN of a bucket ("b") or an object ("b/key"), which have
// neither region nor account.
func S3(resource string) ARN { return ARN("arn:aws:s3:::" + resource) }
