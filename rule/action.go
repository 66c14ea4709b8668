package rule

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"strait"
)

// An Action is what a rule starts: exactly one member is set. Texts may be
// substitution templates where AWS has them.
type Action struct {
	Lambda    *Lambda    `json:",omitempty"`
	Republish *Republish `json:",omitempty"`
	S3        *S3        `json:",omitempty"`
	HTTP      *HTTP      `json:",omitempty"`
	Logs      *Logs      `json:",omitempty"`
}

// A Lambda action invokes a function asynchronously with the rule's document.
type Lambda struct {
	FunctionARN strait.ARN // of this place, a qualifier allowed; a template
}

// A Republish action publishes the rule's document on another topic.
type Republish struct {
	RoleARN strait.ARN
	Topic   string // a template; "$$aws/..." is the topic "$aws/..."
	QoS     int    // 0 or 1
	// Headers become the properties of MQTT 5, or nil. They are not copied from
	// the message that came.
	Headers *Headers
}

// Headers of a republished message; each text is a template.
type Headers struct {
	Format        string // "", "UNSPECIFIED_BYTES" or "UTF8_DATA"
	ContentType   string
	ResponseTopic string
	Correlation   string // base64
	Expiry        string // seconds, in digits
	User          []Header
}

// An S3 action stores the rule's document as an object.
type S3 struct {
	RoleARN   strait.ARN
	Bucket    string // a template
	Key       string // a template
	CannedACL string // "" or "private"
}

// A Logs action writes the rule's document to a log group as a line; in batch
// mode the document is an array of lines, each with its time.
type Logs struct {
	RoleARN strait.ARN
	Group   string // a template
	Batch   bool
}

// An HTTP action posts the rule's document to a confirmed destination.
type HTTP struct {
	URL             string // a template; of the same host as ConfirmationURL
	ConfirmationURL string // of an enabled destination; "" means URL
	Headers         []Header
	Batch           *Batch `json:",omitempty"` // nil: each document is a request
}

// A Header is one of an HTTP action's.
type Header struct {
	Key   string
	Value string // a template
}

// UnmarshalJSON also reads what a journal had before there were other actions:
// the ARN of a function.
func (a *Action) UnmarshalJSON(data []byte) error {
	var arn strait.ARN
	if json.Unmarshal(data, &arn) == nil {
		if arn != "" {
			a.Lambda = &Lambda{arn}
		}
		return nil
	}
	type plain Action
	return json.Unmarshal(data, (*plain)(a))
}

// none tells whether a is no action.
func (a *Action) none() bool { return *a == Action{} }

// Role is the role that carries a out, "" for functions, which have a policy
// of their own, and for HTTP.
func (a *Action) Role() strait.ARN {
	switch {
	case a.Republish != nil:
		return a.Republish.RoleARN
	case a.S3 != nil:
		return a.S3.RoleARN
	case a.Logs != nil:
		return a.Logs.RoleARN
	}
	return ""
}

// Kind names a in the error action's document. S3Action is documented, the
// others are named after it (unverified).
func (a *Action) Kind() string {
	switch {
	case a.Lambda != nil:
		return "LambdaAction"
	case a.Republish != nil:
		return "RepublishAction"
	case a.S3 != nil:
		return "S3Action"
	case a.Logs != nil:
		return "CloudwatchLogsAction"
	}
	return "HttpAction"
}

// Target names what a is done to.
func (a *Action) Target() string {
	switch {
	case a.Lambda != nil:
		return string(a.Lambda.FunctionARN)
	case a.Republish != nil:
		return a.Republish.Topic
	case a.S3 != nil:
		return a.S3.Bucket
	case a.Logs != nil:
		return a.Logs.Group
	case a.HTTP != nil:
		return a.HTTP.URL
	}
	return ""
}

// texts are the members that may be templates.
func (a *Action) texts() []*string {
	var out []*string
	if a.Lambda != nil {
		out = append(out, (*string)(&a.Lambda.FunctionARN))
	}
	if a.Republish != nil {
		out = append(out, &a.Republish.Topic)
		if h := a.Republish.Headers; h != nil {
			out = append(out, &h.Format, &h.ContentType, &h.ResponseTopic, &h.Correlation, &h.Expiry)
			for i := range h.User {
				out = append(out, &h.User[i].Key, &h.User[i].Value)
			}
		}
	}
	if a.S3 != nil {
		out = append(out, &a.S3.Bucket, &a.S3.Key)
	}
	if a.Logs != nil {
		out = append(out, &a.Logs.Group)
	}
	if a.HTTP != nil {
		out = append(out, &a.HTTP.URL, &a.HTTP.ConfirmationURL)
		for i := range a.HTTP.Headers {
			out = append(out, &a.HTTP.Headers[i].Value)
		}
	}
	return out
}

func (a Action) clone() Action {
	if a.Lambda != nil {
		l := *a.Lambda
		a.Lambda = &l
	}
	if a.Republish != nil {
		r := *a.Republish
		if r.Headers != nil {
			h := *r.Headers
			h.User = append([]Header(nil), h.User...)
			r.Headers = &h
		}
		a.Republish = &r
	}
	if a.S3 != nil {
		s := *a.S3
		a.S3 = &s
	}
	if a.Logs != nil {
		l := *a.Logs
		a.Logs = &l
	}
	if a.HTTP != nil {
		h := *a.HTTP
		h.Headers = append([]Header(nil), h.Headers...)
		if h.Batch != nil {
			b := *h.Batch
			h.Batch = &b
		}
		a.HTTP = &h
	}
	return a
}

// check refuses what could not be run. filled is false for what may still have
// templates in it.
func (a *Action) check(place strait.Place, filled bool) error {
	members := 0
	for _, set := range []bool{a.Lambda != nil, a.Republish != nil, a.S3 != nil, a.HTTP != nil, a.Logs != nil} {
		if set {
			members++
		}
	}
	if members != 1 {
		return invalidAction("an action has exactly one member: lambda, republish, s3, http or cloudwatchLogs; others are not offered")
	}
	open := func(s string) bool { return !filled && strings.Contains(s, "${") }
	switch {
	case a.Lambda != nil:
		if open(string(a.Lambda.FunctionARN)) {
			return nil
		}
		return checkFunction(a.Lambda.FunctionARN, place)
	case a.HTTP != nil:
		return a.HTTP.check(open)
	}
	role, err := a.Role().Parse()
	if err != nil || role.Service != "iam" || !strings.HasPrefix(role.Resource, "role/") || role.Account != place.Account {
		return invalidAction("roleArn is not the ARN of a role of the account %s", place.Account)
	}
	if s := a.S3; s != nil {
		if s.Bucket == "" || s.Key == "" {
			return invalidAction("an s3 action needs bucketName and key")
		}
		if s.CannedACL != "" && s.CannedACL != "private" {
			return invalidAction("the canned ACL %q is not offered; buckets here have policies, not ACLs", clip(s.CannedACL))
		}
		return nil
	}
	if a.Logs != nil {
		if a.Logs.Group == "" {
			return invalidAction("a cloudwatchLogs action needs logGroupName")
		}
		return nil
	}
	r := a.Republish
	if r.QoS != 0 && r.QoS != 1 {
		return invalidAction("the QoS of a republish action is 0 or 1")
	}
	if r.Topic == "" || strings.ContainsAny(r.Topic, "+#") && !open(r.Topic) {
		return invalidAction("the topic of a republish action is empty or has a wildcard")
	}
	return r.Headers.check(open)
}

// check refuses headers that no message can have.
func (h *Headers) check(open func(string) bool) error {
	if h == nil {
		return nil
	}
	if h.Format != "" && h.Format != "UNSPECIFIED_BYTES" && h.Format != "UTF8_DATA" && !open(h.Format) {
		return invalidAction("the payloadFormatIndicator is UNSPECIFIED_BYTES or UTF8_DATA")
	}
	if _, err := base64.StdEncoding.DecodeString(h.Correlation); err != nil && !open(h.Correlation) {
		return invalidAction("the correlationData is not base64")
	}
	if _, err := strconv.ParseUint(h.Expiry, 10, 32); err != nil && h.Expiry != "" && !open(h.Expiry) {
		return invalidAction("the messageExpiry is a number of seconds")
	}
	size := 0
	all := []string{h.ContentType, h.ResponseTopic, h.Correlation}
	for _, u := range h.User {
		all = append(all, u.Key, u.Value)
	}
	for _, s := range all {
		if size += len(s); strings.ContainsRune(s, 0) || !utf8.ValidString(s) || size > 64*1024-1 {
			return invalidAction("the headers of a message are UTF-8 without NUL, of less than 64 KiB together")
		}
	}
	if len(h.User) > 100 {
		return invalidAction("a message has at most 100 user properties here")
	}
	if strings.ContainsAny(h.ResponseTopic, "+#") && !open(h.ResponseTopic) {
		return invalidAction("the responseTopic has a wildcard")
	}
	return nil
}

func invalidAction(format string, args ...any) error {
	return strait.Errorf(strait.Invalid, "action", format, args...)
}

func checkFunction(arn strait.ARN, place strait.Place) error {
	p, err := arn.Parse()
	name, found := strings.CutPrefix(p.Resource, "function:")
	if err != nil || p.Service != "lambda" || !found || name == "" || len(arn) > 300 {
		return invalidAction("functionArn is not the ARN of a function: want arn:aws:lambda:%s:%s:function:NAME", place.Region, place.Account)
	}
	if p.Region != place.Region || p.Account != place.Account {
		return invalidAction("functionArn is of region %q and account %q; a rule here invokes functions of %s, %s only", p.Region, p.Account, place.Region, place.Account)
	}
	return nil
}

func (h *HTTP) check(open func(string) bool) error {
	if err := h.Batch.check(); err != nil {
		return err
	}
	if len(h.Headers) > 100 {
		return invalidAction("an http action has at most 100 headers")
	}
	for _, x := range h.Headers {
		if x.Key == "" || strings.ContainsAny(x.Key+x.Value, "\r\n\x00") {
			return invalidAction("a header of an http action is empty or has a line break")
		}
	}
	if open(h.URL) && h.ConfirmationURL == "" {
		return invalidAction("an http action whose url is a template needs a confirmationUrl")
	}
	for _, s := range []string{h.URL, h.ConfirmationURL} {
		if s == "" && h.URL != "" || open(s) {
			continue
		}
		if _, err := checkURL(s); err != nil {
			return err
		}
	}
	return nil
}

// checkURL reads the URL of a destination: https, or http on this machine.
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(s) > 2000 ||
		u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return nil, invalidAction("the url of an http action or destination is https://HOST/PATH (http on localhost only)")
	}
	return u, nil
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }
