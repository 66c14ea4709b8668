// Package http is the door for AWS's HTTP protocols: query (STS, IAM),
// rest-json (IoT, IoT Data, Lambda), json 1.1 (CloudWatch Logs) and rest-xml (S3).
//
// The Door chooses the service of a request (by the scope of its signature,
// else by host, else by path), finds the row of that service's table, has the
// caller proven, and lets the corridor serve it. It turns bytes into shapes,
// shapes into bytes and errors into the codes of the protocol. It decides
// nothing and stores nothing.
//
// Begin with Door.ServeHTTP; choose.go finds the service, route.go the row;
// query.go, restjson.go, targetjson.go and restxml.go are the protocols, errors.go their codes.
package http

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"strait"
	"strait/api"
	"strait/identity/sigv4"
)

// A Door serves tables of operations over HTTP.
type Door struct {
	Corridor *api.Corridor
	Services []api.Service
	// Identify proves the caller of a signed request. The Options say what
	// the service needs; time and regions are filled in behind it.
	Identify func(claim *sigv4.Claim, o sigv4.Options) (api.Caller, error)
	// Certified proves the caller of a request to the data plane that is not
	// signed but came over TLS with a certificate.
	Certified func(crt *x509.Certificate) (api.Caller, error)
	// WebSocket takes over a request for /mqtt, once its caller is proven.
	WebSocket func(w http.ResponseWriter, r *http.Request, c api.Caller)
	// Hosts are the names of this server without "*."; a bucket's name may
	// stand before each of them.
	Hosts  []string
	Region string
	// Observe, when set, is told of every exchange but those of WebSockets.
	Observe func(Exchange)
	Log     *slog.Logger

	routes map[string]*table
}

// New returns d, ready to serve. Routes that cannot be read are a mistake in
// the tables and reported here.
func New(d Door) (*Door, error) {
	d.routes = map[string]*table{}
	refused, err := api.Refused()
	if err != nil {
		return nil, err
	}
	for i := range d.Services {
		t, err := newTable(&d.Services[i], refused)
		if err != nil {
			return nil, err
		}
		d.routes[d.Services[i].Name] = t
	}
	return &d, nil
}

// A protocol is how one family of services puts shapes into bytes.
type protocol interface {
	// find returns the row for x and the values of its path.
	find(x *exchange) (*api.Operation, map[string]string, error)
	decode(x *exchange, in any, path map[string]string) error
	encode(x *exchange, o *api.Operation, out any) error
	fail(x *exchange, e *strait.Error)
}

// An exchange is one request on its way through the door.
type exchange struct {
	w         http.ResponseWriter
	r         *http.Request
	service   *api.Service
	table     *table
	operation *api.Operation // once it is found
	claim     *sigv4.Claim
	bucket    string // the bucket in the host's name, "" for path style
	path      string // the raw path inside the service
	query     values
	body      []byte      // the whole body, of services that read it at once
	stream    *sigv4.Body // the checked body, of S3
	form      *form       // read up to its file; nil for what is no POST form
	id        string      // request id
	region    string
}

func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, id: uuid.NewString(), region: d.Region}
	defer d.recover(x)
	// net/http says 100 with the first read, and never when there is nothing to
	// read. botocore, told 200 at once, takes that for the status of its next
	// request on the connection and hangs (aws s3 sync with an empty file).
	if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.WriteHeader(http.StatusContinue)
	}
	body := &steady{ReadCloser: r.Body, control: http.NewResponseController(w), patience: patience}
	// In a copy: net/http sees by the type of its own body whether a client still
	// waits for 100-continue, and would read on before it sends a refusal.
	r = r.WithContext(r.Context())
	r.Body, x.r = body, r
	x.path, x.query = splitURI(r)
	if r.URL.Path == "/_strait/health" {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"status":"ok"}`+"\n")
		return
	}
	name := d.choose(x)
	if name == mqttPath {
		d.upgrade(x)
		return
	}
	if d.Observe != nil {
		defer d.observe(x, body, time.Now())
		x.w = &watched{ResponseWriter: w}
	}
	for i := range d.Services {
		if d.Services[i].Name == name {
			x.service, x.table = &d.Services[i], d.routes[name]
		}
	}
	if x.service == nil {
		http.Error(x.w, "no such service", http.StatusNotFound)
		return
	}
	p := protocolOf(x.service.Protocol)
	out, o, err := d.serve(x, p)
	if err == nil {
		err = p.encode(x, o, out)
	}
	if err != nil {
		d.fail(x, p, err)
	}
}

func protocolOf(name string) protocol {
	switch name {
	case "query":
		return query{}
	case "rest-xml":
		return restXML{}
	case "json-1.1":
		return targetJSON{}
	}
	return restJSON{}
}

func (d *Door) serve(x *exchange, p protocol) (any, *api.Operation, error) {
	// 1. Who claims to ask?
	read := sigv4.Read
	if x.service.Protocol == "rest-xml" {
		read = sigv4.ReadS3
	}
	claim, err := read(x.r)
	if err != nil {
		return nil, nil, err
	}
	if claim == nil && x.service.Protocol == "rest-xml" && isForm(x.r) {
		// A form carries its credentials in its body.
		if x.form, err = readForm(x.r.Body, x.r.Header.Get("Content-Type")); err != nil {
			return nil, nil, err
		}
		if claim, err = sigv4.ReadForm(x.form.Fields); err != nil {
			return nil, nil, err
		}
	}
	x.claim = claim
	// 2. What is asked? (Protocols with small bodies read them here.)
	if x.service.Protocol != "rest-xml" {
		if err := x.readBody(bodyLimit(x.service.Name)); err != nil {
			return nil, nil, err
		}
	}
	o, path, err := p.find(x)
	if err != nil {
		// Strangers do not learn which operations there are.
		if _, e := d.identify(x); e != nil {
			return nil, nil, e
		}
		return nil, nil, err
	}
	x.operation = o
	// 3. Is it who it claims to be?
	caller, err := d.identify(x)
	if err != nil {
		return nil, nil, err
	}
	// 4. Down the corridor.
	out, err := d.Corridor.Serve(x.r.Context(), &caller, o, func(in any) error { return p.decode(x, in, path) })
	return out, o, err
}

// identify proves the caller and prepares the body that goes with the proof.
func (d *Door) identify(x *exchange) (api.Caller, error) {
	s3 := x.service.Protocol == "rest-xml"
	if x.claim == nil && (x.service.Name == "iotdata" || x.service.Name == "credentials") && x.r.TLS != nil && len(x.r.TLS.PeerCertificates) > 0 {
		c, err := d.Certified(x.r.TLS.PeerCertificates[0])
		return d.known(x, c), err
	}
	if x.claim == nil {
		return d.known(x, api.Caller{Principal: strait.Principal{Kind: strait.Anonymous}}), nil
	}
	o := sigv4.Options{Services: x.service.Scopes, S3: s3, Bucket: x.bucket}
	if !s3 {
		sum := sha256.Sum256(x.body)
		o.PayloadHash = hex.EncodeToString(sum[:])
	}
	c, err := d.Identify(x.claim, o)
	if err != nil {
		return c, err
	}
	if s3 && x.form == nil {
		if x.stream, err = x.claim.Body(x.r.Body); err != nil {
			return c, err
		}
	}
	return d.known(x, c), nil
}

// known adds to c what the connection tells.
func (d *Door) known(x *exchange, c api.Caller) api.Caller {
	if a, err := netip.ParseAddrPort(x.r.RemoteAddr); err == nil {
		c.IP = a.Addr()
	}
	if x.service != nil && x.service.Name == "s3" {
		c.Signing = x.signing()
	}
	c.Referer = x.r.Referer()
	c.UserAgent, c.Secure, c.Request = x.r.UserAgent(), x.r.TLS != nil, x.id
	if x.r.TLS != nil {
		c.Domain = x.r.TLS.ServerName
	}
	if c.Trace == "" {
		c.Trace = api.NewTrace()
	}
	return c
}

// signing is how x was signed, in S3's words.
func (x *exchange) signing() (s api.Signing) {
	if x.r.TLS != nil {
		s.TLS = strings.TrimPrefix(tls.VersionName(x.r.TLS.Version), "TLS ")
	}
	if x.claim == nil {
		return s
	}
	s.Version, s.At = "AWS4-HMAC-SHA256", x.claim.SignedAt
	switch x.claim.Form {
	case sigv4.Header:
		s.Type = "REST-HEADER"
	case sigv4.Query:
		s.Type = "REST-QUERY-STRING"
	case sigv4.PostForm:
		s.Type = "POST"
	case sigv4.QueryV2:
		s.Type, s.Version = "REST-QUERY-STRING", "AWS"
	case sigv4.FormV2:
		s.Type, s.Version = "POST", "AWS"
	}
	return s
}

// bodyLimit is the most that a service reads at once. CreateFunction carries
// 50 MiB of zip as base64 (lambda-runtime.md, section 5).
func bodyLimit(service string) int64 {
	switch service {
	case "lambda":
		return 70 << 20
	case "logs":
		return 8 << 20 // a batch of 1 MiB, escaped
	}
	return 1 << 20
}

func (x *exchange) readBody(limit int64) error {
	b, err := io.ReadAll(io.LimitReader(x.r.Body, limit+1))
	if err != nil {
		return strait.Errorf(strait.Invalid, "incomplete body", "The request's body ended early: %w", err)
	}
	if int64(len(b)) > limit {
		return strait.Errorf(strait.TooLarge, "request", "The request's body is larger than %d bytes.", limit)
	}
	x.body = b
	return nil
}

// upgrade proves the caller of a WebSocket connection and hands it over.
func (d *Door) upgrade(x *exchange) {
	refuse := func(err error) {
		d.Log.Info("websocket refused", "error", err, "peer", x.r.RemoteAddr)
		http.Error(x.w, "403 Forbidden: "+plain(err), http.StatusForbidden)
	}
	claim, err := sigv4.Read(x.r)
	if err == nil && claim == nil {
		err = strait.Errorf(strait.Unauthenticated, "credentials", "MQTT over WebSocket needs a SigV4 signature")
	}
	if err != nil {
		refuse(err)
		return
	}
	c, err := d.Identify(claim, sigv4.Options{
		Services: []string{"iotdevicegateway", "iotdata"}, UnsignedToken: true, PayloadHash: sigv4.EmptyPayload,
	})
	if err != nil {
		refuse(err)
		return
	}
	d.WebSocket(x.w, x.r, d.known(x, c))
}

func plain(err error) string {
	var e *strait.Error
	if errors.As(err, &e) && e.Kind != strait.Internal {
		return e.Message
	}
	return "internal error"
}

func (d *Door) fail(x *exchange, p protocol, err error) {
	var e *strait.Error
	if !errors.As(err, &e) {
		e = &strait.Error{Kind: strait.Internal, Thing: "server", Message: "We encountered an internal error. Please try again.", Err: err}
	}
	if e.Kind == strait.Internal {
		d.Log.Error("request failed", "error", err, "method", x.r.Method, "service", x.service.Name, "request", x.id)
		e = &strait.Error{Kind: strait.Internal, Thing: e.Thing, Message: "We encountered an internal error. Please try again."}
	}
	if id := e.Detail["DecisionId"]; id != "" {
		x.w.Header().Set("X-Strait-Decision-Id", id)
	}
	p.fail(x, e)
	if e.Kind == strait.Unauthenticated {
		x.drain(256 << 10)
	} else {
		x.drain(32 << 20)
	}
}

// drain reads what is left of a body after an early answer, up to a bound that
// is narrow for strangers, so that the client gets the answer and not a broken
// pipe (over TLS, Python's clients do not look for it then); net/http closes the
// connection when more is left.
func (x *exchange) drain(most int64) {
	body, ok := x.r.Body.(*steady)
	if !ok || !strings.EqualFold(x.r.Header.Get("Expect"), "100-continue") {
		io.CopyN(io.Discard, x.r.Body, most)
		return
	}
	// A client that waits for 100-continue has its answer now and sends nothing.
	// But botocore loses patience after a second, and is sending by then.
	_ = body.control.Flush()
	body.patience = time.Second
	io.CopyN(io.Discard, body, most)
}

// recover turns a panic into one failed request: others must not suffer.
func (d *Door) recover(x *exchange) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	d.Log.Error("panic while serving", "panic", v, "stack", string(debug.Stack()), "request", x.id)
	panic(http.ErrAbortHandler)
}
