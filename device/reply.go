package device

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"strait"
)

// reply is what the vending function publishes; the first three fields are all
// that a function must give (the same shape as vend.Reply, which is the
// server's side and is not linked here).
type reply struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      *time.Time
	Bucket          string
	Prefix          string
	Region          string
	Endpoint        string
	Error           *refusal `json:"error"`
	ClientToken     string   `json:"clientToken"`
}

type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// badReply is the code that this side gives to an answer that is none.
const badReply = "BadReply"

// maxReply bounds an answer: a session token has a few KiB at most.
const maxReply = 64 << 10

// readReply reads an answer. It is either a refusal or has all three parts of
// temporary credentials; errors never quote it.
func readReply(data []byte) (reply, error) {
	if len(data) > maxReply {
		return reply{}, errors.New("the answer is too long")
	}
	var r reply
	if err := json.Unmarshal(data, &r); err != nil {
		return reply{}, errors.New("the answer is no JSON object with AccessKeyId, SecretAccessKey and SessionToken")
	}
	if r.Error != nil {
		return reply{Error: r.Error, ClientToken: r.ClientToken}, nil
	}
	if !printable(r.AccessKeyID, r.SecretAccessKey, r.SessionToken) {
		return reply{}, errors.New("the answer must have AccessKeyId, SecretAccessKey and SessionToken")
	}
	if r.Prefix != "" && !strings.HasSuffix(r.Prefix, "/") {
		r.Prefix += "/"
	}
	return r, nil
}

// printable tells whether all can be put into headers: a line break would end one.
func printable(all ...string) bool {
	for _, s := range all {
		if s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return false
		}
	}
	return true
}

func (r *reply) grant(thing string, now time.Time, hint string) (Grant, error) {
	if r.Error != nil {
		kind := strait.Denied
		switch r.Error.Code {
		case "InvalidRequest":
			kind = strait.Invalid
		case "TemporaryFailure":
			kind = strait.Unavailable
		case badReply:
			kind = strait.Unsupported
		}
		return Grant{}, strait.Errorf(kind, "credentials", "no credentials for %s (%s): %s. %s", thing, r.Error.Code, strings.TrimSuffix(r.Error.Message, "."), hint)
	}
	g := Grant{
		Credentials: strait.Credentials{AccessKeyID: r.AccessKeyID, SecretAccessKey: r.SecretAccessKey, SessionToken: r.SessionToken, Expiration: now.Add(unknownLife)},
		Bucket:      r.Bucket, Prefix: r.Prefix, Region: r.Region, Endpoint: r.Endpoint, doubtful: r.ClientToken == "",
	}
	if r.Expiration != nil {
		g.Expiration = *r.Expiration
	}
	if g.Prefix == "" {
		g.Prefix = thing + "/"
	}
	return g, nil
}
