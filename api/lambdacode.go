package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"strait"
	"strait/function"
)

// codeLife is how long the URL of a function's code is good for, as on AWS.
const codeLife = 10 * time.Minute

// A codeDesk signs URLs from which the code of functions can be fetched
// without credentials, as AWS gives them out. Its key lives as long as the server.
type codeDesk struct {
	engine *function.Engine
	now    func() time.Time
	key    []byte
}

func newCodeDesk(e *function.Engine, now func() time.Time) codeDesk {
	k := codeDesk{e, now, make([]byte, 32)}
	rand.Read(k.key)
	return k
}

// rows: who fetches needs no permission but the signature, which was given to
// somebody with lambda:GetFunction.
func (k codeDesk) rows() []Operation {
	return []Operation{op("FetchCode", "GET "+functionsPath+"/{FunctionName}/code?Signature", nil, k.fetch).open().own()}
}

// sign binds a version of a function, what its code is now, and a time.
func (k codeDesk) sign(name, version, sha, expires string) string {
	m := hmac.New(sha256.New, k.key)
	fmt.Fprintf(m, "%s\n%s\n%s\n%s", name, version, sha, expires)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// locate returns the URL of f's code, on the host that the caller talks to.
func (k codeDesk) locate(c *Caller, host string, f function.Function) string {
	version := f.Version
	if version == "" {
		version = function.Latest
	}
	expires := strconv.FormatInt(k.now().Add(codeLife).Unix(), 10)
	u := url.URL{Scheme: "http", Host: host, Path: functionsPath + "/" + f.Name + "/code"}
	if c.Secure {
		u.Scheme = "https"
	}
	u.RawQuery = url.Values{"Qualifier": {version}, "Expires": {expires}, "Signature": {k.sign(f.Name, version, f.CodeSHA256, expires)}}.Encode()
	return u.String()
}

type fetchInput struct {
	FunctionName string `aws:"path,FunctionName"`
	Qualifier    string `aws:"query,Qualifier"`
	Expires      string `aws:"query,Expires"`
	Signature    string `aws:"query,Signature"`
}

type fetchOutput struct {
	Type string `aws:"header,Content-Type"`
	Code []byte `aws:"payload"`
}

func (k codeDesk) fetch(ctx context.Context, _ Call, in *fetchInput) (*fetchOutput, error) {
	// Whatever is wrong, strangers learn nothing about functions.
	bad := strait.Errorf(strait.Denied, "signature", "The signature of this URL is not valid, or the function's code is another by now: call GetFunction again.")
	f, err := k.engine.Resolve(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, bad
	}
	if !hmac.Equal([]byte(in.Signature), []byte(k.sign(f.Name, in.Qualifier, f.CodeSHA256, in.Expires))) {
		return nil, bad
	}
	if until, err := strconv.ParseInt(in.Expires, 10, 64); err != nil || !k.now().Before(time.Unix(until, 0)) {
		return nil, strait.Errorf(strait.Denied, "signature", "Request has expired: the URL of a function's code is good for %d minutes.", int(codeLife.Minutes()))
	}
	code, err := k.engine.Code(ctx, f.Name, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(code); base64.StdEncoding.EncodeToString(sum[:]) != f.CodeSHA256 {
		return nil, bad // it was replaced just now
	}
	return &fetchOutput{"application/zip", code}, nil
}
