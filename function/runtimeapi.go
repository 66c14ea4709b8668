package function

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"strait"
)

const (
	apiPrefix      = "/2018-06-01/runtime/"
	maxConnections = 16 // of one environment to its Runtime API
)

// A phase is where an environment stands in the Runtime API's state machine.
type phase int

const (
	starting  phase = iota // next was not called yet
	idle                   // waits in next, or is about to wait again
	running                // has an event, has not answered
	responded              // has answered, has not called next again
)

// An event is one invocation on its way through an environment.
type event struct {
	id, trace     string
	arn           strait.ARN // as it was invoked
	payload       []byte
	clientContext string
	timeout       time.Duration

	deadline time.Time     // set when handed over
	started  chan struct{} // closed when handed over
	answer   chan outcome  // gets one
}

// An outcome is how an invocation ended.
type outcome struct {
	payload []byte
	failed  bool
	// Of an end that the platform brought about, or noticed: its last words in
	// the log, and what the report says.
	last, status string
}

// checkedListener accepts only connections of the environment's own process.
// http.Server calls Accept from one goroutine, so the check of a stranger
// delays nobody but the owner.
type checkedListener struct {
	net.Listener
	check func(net.Conn) error
	open  atomic.Int32
}

func (l *checkedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Load() >= maxConnections || l.check(c) != nil {
			c.Close()
			continue
		}
		l.open.Add(1)
		return &countedConn{Conn: c, open: &l.open}, nil
	}
}

type countedConn struct {
	net.Conn
	open   *atomic.Int32
	closed atomic.Bool
}

func (c *countedConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// ServeHTTP is the Runtime API. No timeouts but on headers: next takes hours,
// and the invocation's deadline bounds everything else by ending the process.
func (v *environment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, apiPrefix)
	if !ok {
		http.NotFound(w, r)
		return
	}
	switch {
	case r.Method == http.MethodGet && rest == "invocation/next":
		v.serveNext(w, r)
	case r.Method == http.MethodPost && rest == "init/error":
		v.serveInitError(w, r)
	case r.Method == http.MethodPost && strings.HasPrefix(rest, "invocation/"):
		id, what, _ := strings.Cut(strings.TrimPrefix(rest, "invocation/"), "/")
		switch what {
		case "response", "error":
			v.serveAnswer(w, r, id, what == "error")
			return
		}
		fallthrough
	default:
		http.NotFound(w, r)
	}
}

func (v *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	if !v.enterNext() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "Transition from the current state to Ready is not allowed")
		return
	}
	var ev *event
	select {
	case ev = <-v.events:
	case <-r.Context().Done():
	case <-v.dead:
	}
	v.leaveNext(ev)
	if ev == nil {
		return
	}
	v.log.begin()
	v.log.line("START RequestId: " + ev.id + " Version: " + v.function.version())
	close(ev.started)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(ev.payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", ev.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(ev.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", string(ev.arn))
	h.Set("Lambda-Runtime-Trace-Id", xrayTrace(ev.id))
	if ev.clientContext != "" {
		h.Set("Lambda-Runtime-Client-Context", ev.clientContext)
	}
	w.Write(ev.payload)
}

// xrayTrace makes an X-Ray header that the SDKs pass on unharmed. Our own
// trace does not travel in it: a function must not be able to choose one.
func xrayTrace(id string) string {
	hex := strings.ReplaceAll(id, "-", "")
	return fmt.Sprintf("Root=1-%08x-%.24s;Parent=%.16s;Sampled=0", time.Now().Unix(), hex, hex)
}

func (v *environment) enterNext() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting || v.phase == running {
		return false
	}
	if v.phase == starting {
		close(v.ready)
	}
	if v.phase == responded {
		v.idle() // a later call of next ends the invocation before
	}
	v.phase, v.waiting = idle, true
	return true
}

func (v *environment) leaveNext(ev *event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = false
	if ev != nil {
		v.phase, v.current = running, ev
		ev.deadline = time.Now().Add(ev.timeout)
		v.engine.working(v.credentials.AccessKeyID, ev.trace)
		v.engine.warden.look()
	}
}

// finish takes ev from running to responded and hands over its outcome; false
// when it is not running any more.
func (v *environment) finish(ev *event, out outcome) bool {
	v.mu.Lock()
	if v.phase != running || v.current != ev {
		v.mu.Unlock()
		return false
	}
	v.phase, v.current = responded, nil
	v.engine.rested(v.credentials.AccessKeyID)
	v.mu.Unlock()
	ev.answer <- out
	return true
}

func (v *environment) serveAnswer(w http.ResponseWriter, r *http.Request, id string, failed bool) {
	v.mu.Lock()
	ev, ok := v.current, v.phase == running
	v.mu.Unlock()
	if !ok {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "Transition from the current state to the state of a response is not allowed")
		return
	}
	if ev.id != id {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxResponse))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		v.finish(ev, failure("Function.ResponseSizeTooLarge", fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponse)))
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxResponse))
		return
	case err != nil:
		return // the connection broke; the runtime may try again
	}
	out := outcome{payload: body, failed: failed}
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
		// A streamed response that broke off in the middle.
		out = failure(kind, "the function failed while it streamed its response")
		if told, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body")); err == nil && len(told) > 0 {
			out.payload = told
		}
	} else if failed && len(body) == 0 {
		out = failure(firstOf(r.Header.Get("Lambda-Runtime-Function-Error-Type"), "Unhandled"), "the function failed without saying why")
	}
	if !v.finish(ev, out) {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "The invocation has ended already")
		return
	}
	accept(w)
}

func (v *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 256<<10))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the error is too long")
		return
	}
	v.mu.Lock()
	ok := v.phase == starting && v.initError == nil
	if ok {
		if v.initError = body; len(body) == 0 {
			v.initError = failure(firstOf(r.Header.Get("Lambda-Runtime-Function-Error-Type"), "Runtime.Unknown"), "the function's start failed without saying why").payload
		}
		close(v.initFailed)
	}
	v.mu.Unlock()
	if !ok {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the function has started already")
		return
	}
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted) // exactly 202: aws-lambda-go insists
	io.WriteString(w, `{"status":"OK"}`+"\n")
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"errorMessage": message, "errorType": kind})
}

// failure is the outcome that the platform, not the function, reports.
func failure(kind, message string) outcome {
	payload, _ := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message})
	return outcome{payload: payload, failed: true}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
