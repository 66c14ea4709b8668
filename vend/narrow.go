package vend

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"strait"
)

// SessionName is the thing's name as a role session name. Where it is none,
// ":" becomes "=3A", a single character gets a trailing "=", and what is then
// longer than 64 is cut to 47 characters, "=" and the first 16 hex digits of the SHA-256 of
// the thing's name. No two things share one by accident: "=" is in no thing's name.
func SessionName(thing string) string {
	s := strings.ReplaceAll(thing, ":", "=3A")
	if len(s) == 1 {
		s += "="
	}
	if len(s) > 64 {
		sum := sha256.Sum256([]byte(thing))
		s = s[:47] + "=" + hex.EncodeToString(sum[:8])
	}
	return s
}

// SessionPolicy allows s3:PutObject, and unless strict s3:AbortMultipartUpload,
// on the objects of bucket whose keys begin with prefix. Wildcards and
// variables in bucket and prefix are literal. It is well below the 2,048 characters
// that a session policy may have, for every Request that ParseEvent returns.
func SessionPolicy(bucket, prefix string, strict bool) string {
	actions := []string{"s3:PutObject"}
	if !strict {
		actions = append(actions, "s3:AbortMultipartUpload")
	}
	type statement struct {
		Effect   string
		Action   []string
		Resource string
	}
	doc, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{{"Allow", actions, string(strait.S3(literal(bucket)+"/"+literal(prefix))) + "*"}}})
	if err != nil {
		panic(err) // cannot happen: strings only
	}
	return string(doc)
}

// literal writes s so that a policy takes it as it stands. The names that get
// here hold none of these; this is the second lock on the same door.
func literal(s string) string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(s)
}
