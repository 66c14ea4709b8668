package http

import (
	"net/http"
	"time"
)

// An Exchange is what became of one request.
type Exchange struct {
	Service, Operation string // "" when the request named none
	Status             int    // 0 when the connection broke before
	Took               time.Duration
	In, Out            int64 // bytes of the bodies
}

// observe tells of x, which began at begin.
func (d *Door) observe(x *exchange, body *steady, begin time.Time) {
	e := Exchange{Took: time.Since(begin), In: body.read.Load()}
	if x.service != nil {
		e.Service = x.service.Name
	}
	if x.operation != nil {
		e.Operation = x.operation.Name
	}
	if w, ok := x.w.(*watched); ok {
		e.Status, e.Out = w.status, w.written
	}
	d.Observe(e)
}

// A watched writer remembers what went through it.
type watched struct {
	http.ResponseWriter
	status  int
	written int64
}

func (w *watched) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
