package device_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A fault is what happens to one request.
type fault int

const (
	none      fault = iota
	late            // it takes a while
	broken          // 500
	slowDown        // 503 SlowDown
	damaged         // one byte of the body is changed
	cut             // the connection ends at some byte of the body, any one
	silent          // half-open: nothing is read and nothing answered any more
	lost            // the server does it, the answer is lost
	swallowed       // the server never hears of it, and the connection ends
	liar            // the answer names another checksum than the server's
	hook            // proxy.call is called before it is passed on
)

// A proxy stands before S3. It keeps the Host, so that signatures stay right.
type proxy struct {
	to    atomic.Value                // host:port
	judge func(r *http.Request) fault // nil: none
	call  func()
	out   *http.Transport
	rand  *rand.Rand // guarded by mu

	mu     sync.Mutex
	from   string // the address that the server sees; "": any
	faults int
	bytes  int64 // of bodies of parts that were passed on
	puts   int
	keys   map[string]bool // access keys of what was passed on
}

func newProxy(seed uint64) *proxy {
	p := &proxy{rand: rand.New(rand.NewPCG(seed, 0))}
	p.out = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		p.mu.Lock()
		d := net.Dialer{}
		if p.from != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(p.from)}
		}
		p.mu.Unlock()
		return d.DialContext(ctx, network, addr)
	}}
	return p
}

// move gives the device another address: its connections are gone.
func (p *proxy) move(from string) {
	p.mu.Lock()
	p.from = from
	p.mu.Unlock()
	p.out.CloseIdleConnections()
}

// signers are the access keys that were used since set.
func (p *proxy) signers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys)
}

// set prepares the proxy for a case.
func (p *proxy) set(judge func(r *http.Request) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge, p.faults, p.bytes, p.puts, p.keys = judge, 0, 0, 0, map[string]bool{}
}

func (p *proxy) counts() (faults, puts int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.puts, p.bytes
}

func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.RawQuery, "partNumber=")
}

func isEnd(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Contains(r.URL.RawQuery, "uploadId=")
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	f := none
	if p.judge != nil {
		f = p.judge(r)
	}
	if f != none {
		p.faults++
	}
	if isPart(r) {
		p.puts++
	}
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok && p.keys != nil {
		key, _, _ := strings.Cut(rest, "/")
		p.keys[key] = true
	}
	call := p.call
	at := 1 + p.rand.Int64N(max(r.ContentLength, 1))
	p.mu.Unlock()
	r.Body = &watched{r.Body, p, isPart(r), f, at}
	switch f {
	case late:
		time.Sleep(100 * time.Millisecond)
	case broken:
		http.Error(w, "<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>", 500)
		return
	case slowDown:
		http.Error(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>", 503)
		return
	case swallowed:
		panic(http.ErrAbortHandler)
	case silent:
		// Long enough that the device gives up first: a handler that does not
		// read does not see that.
		time.Sleep(10 * time.Second)
		panic(http.ErrAbortHandler)
	case lost:
		w = &deaf{header: http.Header{}}
		defer panic(http.ErrAbortHandler)
	case hook:
		call()
	}
	(&httputil.ReverseProxy{
		Transport: p.out,
		ModifyResponse: func(r *http.Response) error {
			if f == liar {
				r.Header.Set("X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA=")
			}
			return nil
		},
		Rewrite: func(o *httputil.ProxyRequest) {
			o.Out.URL.Scheme, o.Out.URL.Host, o.Out.Host = "http", p.to.Load().(string), o.In.Host
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}).ServeHTTP(w, r)
}

// deaf hears no answer.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}

// watched counts a body, changes a byte of it or ends it.
type watched struct {
	io.ReadCloser
	p    *proxy
	part bool
	f    fault
	left int64 // to where the fault is
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.part {
		b.p.mu.Lock()
		b.p.bytes += int64(n)
		b.p.mu.Unlock()
	}
	before := b.left
	b.left -= int64(n)
	if before > 0 && b.left <= 0 && n > 0 {
		switch b.f {
		case damaged:
			p[n-1] ^= 1
		case cut:
			return 0, io.ErrUnexpectedEOF
		}
	}
	return n, err
}
