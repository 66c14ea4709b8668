package api

import (
	"context"
	"encoding/xml"

	"strait"
)

// This file answers what clients ask of a bucket's configuration that cannot
// be changed here: with AWS's answer for a new bucket where that is true here,
// and otherwise with the code that means "not set" (s3-upload.md, section 9).
// Changing any of it is refused as not implemented.

// fixed are those rows.
func (k s3Desk) fixed() []Operation {
	none := func(name, query string, action strait.Action, thing, message string) Operation {
		return op(name, "GET /{Bucket}?"+query, onBucket[bucketInput](action),
			func(ctx context.Context, _ Call, in *bucketInput) (*Nothing, error) {
				if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
					return nil, err
				}
				return nil, strait.Errorf(strait.NotFound, thing, "%s", message)
			})
	}
	return []Operation{
		none("GetBucketCors", "cors", "s3:GetBucketCORS", "cors", "The CORS configuration does not exist"),
		none("GetBucketWebsite", "website", "s3:GetBucketWebsite", "website", "The specified bucket does not have a website configuration"),
		none("GetBucketReplication", "replication", "s3:GetReplicationConfiguration", "replication", "The replication configuration was not found"),
		none("GetObjectLockConfiguration", "object-lock", "s3:GetBucketObjectLockConfiguration", "object lock", "Object Lock configuration does not exist for this bucket"),
		none("GetPublicAccessBlock", "publicAccessBlock", "s3:GetBucketPublicAccessBlock", "public access block", "The public access block configuration was not found"),

		constant(k, "GetBucketVersioning", "versioning", "s3:GetBucketVersioning", versioningXML{}),
		constant(k, "GetBucketAccelerateConfiguration", "accelerate", "s3:GetAccelerateConfiguration", accelerateXML{}),
		constant(k, "GetBucketRequestPayment", "requestPayment", "s3:GetBucketRequestPayment", payerXML{Payer: "BucketOwner"}),
		constant(k, "GetBucketLogging", "logging", "s3:GetBucketLogging", loggingXML{}),
		constant(k, "GetBucketOwnershipControls", "ownershipControls", "s3:GetBucketOwnershipControls", ownershipXML{Ownership: "BucketOwnerEnforced"}),

		op("GetBucketEncryption", "GET /{Bucket}?encryption", onBucket[bucketInput]("s3:GetEncryptionConfiguration"), k.getEncryption),
		op("PutBucketVersioning", "PUT /{Bucket}?versioning", onBucket[putVersioningInput]("s3:PutBucketVersioning"), k.putVersioning),
		op("GetBucketAcl", "GET /{Bucket}?acl", onBucket[bucketInput]("s3:GetBucketAcl"), k.getBucketACL),
		op("GetObjectAcl", "GET /{Bucket}/{Key+}?acl", k.mayGetObjectACL, k.getObjectACL),
	}
}

// constant is a row that answers the same of every bucket.
func constant[T any](k s3Desk, name, query string, action strait.Action, v T) Operation {
	return op(name, "GET /{Bucket}?"+query, onBucket[bucketInput](action),
		func(ctx context.Context, _ Call, in *bucketInput) (*document[T], error) {
			if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
				return nil, err
			}
			return xmlOf(v), nil
		})
}

// An empty VersioningConfiguration says that versioning was never enabled.
type versioningXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
}

type accelerateXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccelerateConfiguration"`
}

type payerXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ RequestPaymentConfiguration"`
	Payer   string
}

type loggingXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ BucketLoggingStatus"`
}

// BucketOwnerEnforced: everything belongs to the bucket's owner, and there are
// no access control lists.
type ownershipXML struct {
	XMLName   xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ OwnershipControls"`
	Ownership string   `xml:"Rule>ObjectOwnership"`
}

type putVersioningInput struct {
	Bucket     string `aws:"path,Bucket"`
	Versioning struct {
		Status    string
		MfaDelete string
	} `aws:"xml"`
}

func (in *putVersioningInput) bucket() string { return in.Bucket }

// putVersioning refuses: an old version that is not kept must not be promised.
func (k s3Desk) putVersioning(ctx context.Context, _ Call, in *putVersioningInput) (*Nothing, error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	switch in.Versioning.Status {
	case "Enabled", "Suspended":
		return nil, strait.Errorf(strait.Unsupported, "operation", "Versioning is not implemented here: a bucket keeps the latest version of each object.")
	}
	return nil, malformedXML()
}

func malformedXML() error {
	return strait.Errorf(strait.Invalid, "xml", "The XML you provided was not well-formed or did not validate against our published schema")
}

type aclXML struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
	Owner   owner
	Grant   grantXML `xml:"AccessControlList>Grant"`
}

type grantXML struct {
	Grantee    granteeXML
	Permission string
}

type granteeXML struct {
	Namespace string `xml:"xmlns:xsi,attr"`
	Type      string `xml:"xsi:type,attr"`
	ID        string
}

// private is the only list that there is: all to the owner.
func (k s3Desk) private() aclXML {
	o := k.owner()
	return aclXML{Owner: o, Grant: grantXML{granteeXML{"http://www.w3.org/2001/XMLSchema-instance", "CanonicalUser", o.ID}, "FULL_CONTROL"}}
}

func (k s3Desk) getBucketACL(ctx context.Context, _ Call, in *bucketInput) (*document[aclXML], error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	return xmlOf(k.private()), nil
}

func (k s3Desk) getObjectACL(ctx context.Context, _ Call, in *objectInput) (*document[aclXML], error) {
	if _, err := k.store.Head(ctx, in.Bucket, in.Key); err != nil {
		return nil, err
	}
	return xmlOf(k.private()), nil
}

func (k s3Desk) mayGetObjectACL(ctx context.Context, _ View, _ *Caller, in *objectInput) ([]Ask, error) {
	return askWith("s3:GetObjectAcl", strait.S3(in.Bucket+"/"+in.Key), existingTags(k.tagsOf(ctx, in.Bucket, in.Key))), nil
}

type encryptionXML struct {
	XMLName   xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ServerSideEncryptionConfiguration"`
	Algorithm string   `xml:"Rule>ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
}

// getEncryption tells what the operator has said of the disk.
func (k s3Desk) getEncryption(ctx context.Context, _ Call, in *bucketInput) (*document[encryptionXML], error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	if !k.Encrypted {
		return nil, strait.Errorf(strait.NotFound, "encryption", "The server side encryption configuration was not found")
	}
	return xmlOf(encryptionXML{Algorithm: aes256}), nil
}
