package api

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"strait"
	"strait/object"
	"strait/policy"
)

// This file is what the headers of all writes have in common.

// metaHeaders are kept with an object.
type metaHeaders struct {
	ContentType        string            `aws:"header,Content-Type"`
	ContentEncoding    string            `aws:"header,Content-Encoding"`
	ContentDisposition string            `aws:"header,Content-Disposition"`
	ContentLanguage    string            `aws:"header,Content-Language"`
	CacheControl       string            `aws:"header,Cache-Control"`
	Expires            string            `aws:"header,Expires"`
	User               map[string]string `aws:"headers,X-Amz-Meta-"`
}

func (h metaHeaders) meta() object.Meta {
	return object.Meta{ContentType: h.ContentType, ContentEncoding: withoutChunked(h.ContentEncoding), CacheControl: h.CacheControl,
		ContentDisposition: h.ContentDisposition, ContentLanguage: h.ContentLanguage, Expires: h.Expires, User: h.User}
}

// withoutChunked removes the framing's name from Content-Encoding: it is no
// property of the object.
func withoutChunked(enc string) string {
	if !strings.Contains(enc, "aws-chunked") {
		return enc
	}
	var out []string
	for _, e := range strings.Split(enc, ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			out = append(out, e)
		}
	}
	return strings.Join(out, ",")
}

// extras are headers of a write that would change its meaning if they were
// overlooked.
type extras struct {
	ACL          string            `aws:"header,X-Amz-Acl"`
	Grants       map[string]string `aws:"headers,X-Amz-Grant-"`
	Lock         map[string]string `aws:"headers,X-Amz-Object-Lock-"`
	Redirect     string            `aws:"header,X-Amz-Website-Redirect-Location"`
	StorageClass string            `aws:"header,X-Amz-Storage-Class"`
	Encryption   string            `aws:"header,X-Amz-Server-Side-Encryption"`
	Offset       string            `aws:"header,X-Amz-Write-Offset-Bytes"` // the body is to be appended there
	// Keys are those of KMS and of the customer.
	Keys map[string]string `aws:"headers,X-Amz-Server-Side-Encryption-"`
}

// aes256 is the encryption that S3 does by itself.
const aes256 = "AES256"

// encryption is what an answer says of how the object lies on the disk; "" for
// plainly.
func (k s3Desk) encryption() string {
	if k.Encrypted {
		return aes256
	}
	return ""
}

// offered refuses those that are not offered.
func (k s3Desk) offered(e extras) error {
	switch {
	case len(e.Keys) > 0:
		return notOfferedHeader("x-amz-server-side-encryption-*")
	case e.Encryption == aes256 && !k.Encrypted:
		return strait.Errorf(strait.Unsupported, "header", "Objects are not encrypted by this server; x-amz-server-side-encryption is accepted when its operator has said that the disk is (strait serve --encrypted-disk).")
	case e.Encryption != "" && e.Encryption != aes256:
		return notOfferedHeader("x-amz-server-side-encryption")
	case e.ACL != "" && e.ACL != "private" && e.ACL != "bucket-owner-full-control", len(e.Grants) > 0:
		// What AWS says where the owner is enforced, as in every bucket here.
		return strait.Errorf(strait.Invalid, "acl", "The bucket does not allow ACLs")
	case len(e.Lock) > 0:
		return notOfferedHeader("x-amz-object-lock-*")
	case e.Offset != "":
		return notOfferedHeader("x-amz-write-offset-bytes")
	case e.Redirect != "":
		return notOfferedHeader("x-amz-website-redirect-location")
	case e.StorageClass != "" && e.StorageClass != "STANDARD":
		return strait.Errorf(strait.Unsupported, "header", "The storage class %s is not offered here.", e.StorageClass)
	}
	return nil
}

func notOfferedHeader(name string) error {
	return strait.Errorf(strait.Unsupported, "header", "A header you provided implies functionality that is not implemented: %s", name)
}

// writeContext holds the condition keys of a write.
func writeContext(e extras, ifMatch, ifNoneMatch string) policy.Context {
	x := policy.Context{}
	for key, v := range map[string]string{"s3:x-amz-acl": e.ACL, "s3:x-amz-server-side-encryption": e.Encryption,
		"s3:x-amz-storage-class": e.StorageClass, "s3:if-none-match": ifNoneMatch, "s3:if-match": ifMatch} {
		if v != "" {
			x.Set(key, v)
		}
	}
	return x
}

// asker is the asks of a row.
type asker[In any] func(context.Context, View, *Caller, *In) ([]Ask, error)

// making adds to the asks of a write whether it makes an object; the beginning
// and the parts of an upload do not.
func making[In any](makes bool, asks asker[In]) asker[In] {
	return func(ctx context.Context, v View, c *Caller, in *In) ([]Ask, error) {
		list, err := asks(ctx, v, c, in)
		for i := range list {
			if list[i].Action == "s3:PutObject" {
				x := maps.Clone(list[i].Context)
				if x == nil {
					x = policy.Context{}
				}
				x.Set("s3:ObjectCreationOperation", strconv.FormatBool(makes))
				list[i].Context = x
			}
		}
		return list, err
	}
}

// writeConditions reads the two conditions that a write may have.
func writeConditions(ifMatch, ifNoneMatch string) (match string, none bool, err error) {
	if ifNoneMatch != "" && (ifNoneMatch != "*" || ifMatch != "") {
		err := strait.Errorf(strait.Unsupported, "header", "A header you provided implies functionality that is not implemented")
		err.Detail = map[string]string{"Header": "If-None-Match", "additionalMessage": "For writes, If-None-Match takes only *, and not beside If-Match."}
		return "", false, err
	}
	return strings.Trim(ifMatch, `"`), ifNoneMatch == "*", nil
}
