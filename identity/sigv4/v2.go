package sigv4

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signature V2 is here for one reason: boto3 and CLI v1 presign S3 URLs and POST
// forms with it by default in the older regions (sigv4.md section 2.1). It covers
// method, path, x-amz-* values, Content-MD5, Content-Type and some parameters.

// v2 is what a V2 signature covers beside what V4 covers, too.
type v2 struct {
	expires        string
	md5, mediaType string
	amz            map[string]string // x-amz-* by lower-case name, from header or query
}

// subResources are the parameters that V2 signs (botocore auth.py, HmacV1Auth).
var subResources = []string{
	"accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location", "logging",
	"metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
	"response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language",
	"response-content-type", "response-expires", "restore", "select", "select-type", "storageClass", "tagging", "torrent",
	"uploadId", "uploads", "versionId", "versioning", "versions", "website",
}

// readQueryV2 reads a URL presigned with V2. Headers are as good as parameters in
// it; what is both is refused, because nobody could say which one counts.
func (c *Claim) readQueryV2(r *http.Request) error {
	c.Form = QueryV2
	s := &c.signed
	for name, into := range map[string]*string{"AWSAccessKeyId": &c.AccessKeyID, "Signature": &c.signature, "Expires": &s.v2.expires} {
		all := values(s.query, name)
		if len(all) > 1 {
			return repeated("query", name)
		}
		if len(all) == 0 || all[0] == "" {
			return unproven("query", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
		}
		*into = all[0]
	}
	if !isKeyID(c.AccessKeyID) {
		return unproven("query", "AWSAccessKeyId is malformed.")
	}
	seconds, err := strconv.ParseInt(s.v2.expires, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<33 {
		return unproven("query", "Invalid date (should be seconds since epoch): %s", printable(s.v2.expires))
	}
	c.Expires = time.Duration(seconds) * time.Second

	s.v2.amz = make(map[string]string)
	given := map[string]string{}
	for name, all := range r.Header {
		given[strings.ToLower(name)] = strings.Join(trimmed(all), ",")
	}
	for _, p := range s.query {
		name := strings.ToLower(p.name)
		if !strings.HasPrefix(name, "x-amz-") && name != "content-md5" && name != "content-type" {
			continue
		}
		if was, both := given[name]; both && was != p.value {
			return repeated("query", p.name)
		}
		if strings.ContainsAny(p.value, "\r\n") {
			// A line of its own in what is signed, and so another parameter.
			return unproven("query", "The parameter '%s' has a line break.", printable(p.name))
		}
		given[name] = p.value
	}
	for name, value := range given {
		if strings.HasPrefix(name, "x-amz-") {
			s.v2.amz[name] = value
		}
	}
	s.v2.md5, s.v2.mediaType, c.Token = given["content-md5"], given["content-type"], given["x-amz-security-token"]
	c.PayloadHash = given["x-amz-content-sha256"]
	s.bodyHash = c.PayloadHash
	return c.setFraming(r)
}

func trimmed(all []string) (out []string) {
	for _, v := range all {
		out = append(out, strings.TrimSpace(v))
	}
	return out
}

func (c *Claim) verifyV2(secret string, o Options) error {
	texts := []string{c.signed.policy}
	if c.Form == QueryV2 {
		if end := time.Unix(0, 0).Add(c.Expires); o.Now.After(end) {
			return expired("", end, o.Now)
		}
		if c.PayloadHash != "" {
			if err := checkPayloadHash(c.PayloadHash); err != nil {
				return err
			}
		}
		texts = []string{c.stringToSignV2(o.Bucket, c.signed.path)}
		if o.Bucket == "" && strings.LastIndexByte(c.signed.path, '/') == 0 && c.signed.path != "/" {
			// boto3 sends /bucket and signs /bucket/.
			texts = append(texts, c.stringToSignV2("", c.signed.path+"/"))
		}
	}
	for _, toSign := range texts {
		if signedByV2(secret, toSign, c.signature) {
			c.TokenSigned = c.Token != "" // as an x-amz-* line, or as a condition of the form's policy
			c.proven = &proof{s3: true}
			return nil
		}
	}
	return c.mismatch(true, "", texts[0])
}

// signedByV2 compares in constant time.
func signedByV2(secret, toSign, signature string) bool {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(toSign))
	return hmac.Equal([]byte(base64.StdEncoding.EncodeToString(h.Sum(nil))), []byte(signature))
}

func (c *Claim) stringToSignV2(bucket, path string) string {
	s := &c.signed
	var b strings.Builder
	for _, line := range []string{s.method, s.v2.md5, s.v2.mediaType, s.v2.expires} {
		b.WriteString(line + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(s.v2.amz)) {
		b.WriteString(name + ":" + s.v2.amz[name] + "\n")
	}
	if bucket != "" {
		b.WriteString("/" + bucket)
	}
	b.WriteString(path)
	signed := slices.DeleteFunc(slices.Clone(s.query), func(p pair) bool { return !slices.Contains(subResources, p.name) })
	slices.SortStableFunc(signed, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	for i, p := range signed {
		if i == 0 {
			b.WriteByte('?')
		} else {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		if !p.bare {
			b.WriteString("=" + p.value)
		}
	}
	return b.String()
}
