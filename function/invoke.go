package function

import (
	"context"
	"encoding/json"
	"time"

	"strait"
)

// Invoke runs a function and waits for its result, at most for its start and
// its timeout; it goes on when ctx ends after the event was handed over. A
// failure of the function itself is no error but a Result with FunctionError.
func (e *Engine) Invoke(ctx context.Context, name string, req Request) (Result, error) {
	f, err := e.Resolve(ctx, name, req.Qualifier)
	if err != nil {
		return Result{}, err
	}
	if req.Payload, err = checkPayload(req.Payload, MaxSync); err != nil {
		return Result{}, err
	}
	if len(req.ClientContext) > 3583 {
		return Result{}, strait.Errorf(strait.Invalid, "client context", "the client context has more than 3583 bytes")
	}
	if req.ClientContext != "" && !json.Valid([]byte(req.ClientContext)) {
		return Result{}, strait.Errorf(strait.Invalid, "client context", "the client context is not JSON")
	}
	if req.RequestID == "" {
		req.RequestID = newID()
	}
	return e.invoke(ctx, f, req, 1)
}

// checkPayload returns the payload that a function gets. Line breaks in the
// client context would otherwise end a header.
func checkPayload(payload []byte, limit int) ([]byte, error) {
	if len(payload) > limit {
		return nil, strait.Errorf(strait.TooLarge, "payload", "%d byte payload is too large: at most %d bytes", len(payload), limit)
	}
	if len(payload) == 0 {
		return []byte("{}"), nil
	}
	if !json.Valid(payload) {
		return nil, strait.Errorf(strait.Invalid, "payload", "Could not parse request body into json")
	}
	return payload, nil
}

// invoke does it once, and tells of failures.
func (e *Engine) invoke(ctx context.Context, f Function, req Request, attempt int) (Result, error) {
	// Close waits for invocations; none begins afterwards.
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return Result{}, errClosed()
	}
	e.tasks.Add(1)
	e.mu.Unlock()
	defer e.tasks.Done()

	out, log, err := e.dispatch(ctx, f, req)
	if e.ctx.Err() != nil && out.failed {
		err = errClosed() // it was not the function's fault
	}
	ev := Event{Function: f.Name, RequestID: req.RequestID, Trace: req.Trace, Attempt: attempt}
	res := Result{Version: f.version(), RequestID: req.RequestID}
	if err != nil {
		ev.Kind, ev.Message = "refused", err.Error()
		e.tell(ev)
		return res, err
	}
	res.Payload = out.payload
	if out.failed {
		res.FunctionError = "Unhandled"
		ev.Kind, ev.Message = "failed", string(out.payload)
		e.tell(ev)
	}
	if req.LogTail && log != nil {
		res.LogTail = log.last()
	}
	return res, nil
}

func (e *Engine) dispatch(ctx context.Context, f Function, req Request) (outcome, *writer, error) {
	ctx = withTrace(ctx, req.Trace)
	limit, hard := e.cfg.MaxEnvironments, false
	if f.Reserved != nil {
		limit, hard = *f.Reserved, true
	}
	if limit == 0 {
		return outcome{}, nil, tooMany(f)
	}
	native, err := e.native(f)
	if err != nil {
		return outcome{}, nil, err
	}
	if native == nil && !e.confiner.possible() && !e.cfg.Trust {
		return outcome{}, nil, strait.Errorf(strait.Unsupported, "sandbox",
			"functions cannot be confined on this host (neither root nor Landlock); allow it with --trust-functions if you trust them")
	}
	p := e.pool(f.Name)
	if native != nil {
		if err := p.place(ctx, f, limit, hard); err != nil {
			return outcome{}, nil, err
		}
		defer p.giveUp()
		return e.runNative(native, f, req)
	}
	v, err := p.acquire(ctx, f, limit, hard, e.cfg.Now())
	if err != nil {
		return outcome{}, nil, err
	}
	// From here on the caller's leaving changes nothing.
	ctx = context.WithoutCancel(ctx)
	ev := &event{id: req.RequestID, arn: f.ARN, trace: req.Trace, payload: req.Payload, clientContext: oneLine(req.ClientContext),
		timeout: time.Duration(f.Timeout) * time.Second, started: make(chan struct{}), answer: make(chan outcome, 1)}
	if req.Qualifier != "" {
		ev.arn += strait.ARN(":" + req.Qualifier)
	}
	if v == nil {
		var out *outcome
		if v, out, err = e.bringUp(ctx, p, f, ev.id); err != nil || out != nil {
			return valueOf(out), writerOf(v), err
		}
	}
	out, usable, err := v.handle(ev)
	if usable {
		p.release(v, e.cfg.Now())
	} else {
		p.remove(v)
	}
	return out, v.log, err
}

func valueOf(o *outcome) outcome {
	if o == nil {
		return outcome{}
	}
	return *o
}

func writerOf(v *environment) *writer {
	if v == nil {
		return nil
	}
	return v.log
}

// bringUp starts an environment in the place that acquire gave and waits for
// its runtime. An outcome says that the function could not start.
//
// As on AWS, a start that takes longer than InitLimit is done once more, with
// the function's own timeout.
func (e *Engine) bringUp(ctx context.Context, p *pool, f Function, id string) (*environment, *outcome, error) {
	for limit, last := InitLimit, false; ; limit, last = time.Duration(f.Timeout)*time.Second, true {
		begin := time.Now()
		v, err := e.start(ctx, f)
		if err != nil {
			p.giveUp()
			return nil, nil, err
		}
		v.idle = func() { p.returned(v) }
		if err := p.join(v); err != nil {
			v.kill()
			<-v.dead
			return nil, nil, err
		}
		go func() {
			<-v.dead
			p.remove(v)
		}()
		v.log.begin()
		out, late, err := v.await(id, limit)
		select {
		case <-v.ready:
			v.initTime = time.Since(begin)
			return v, nil, nil
		default:
		}
		if late && !last {
			v.log.line("INIT_REPORT Init Duration: " + limit.String() + "\tPhase: init\tStatus: timeout")
			p.exchange(v)
			continue
		}
		p.remove(v)
		if err != nil {
			return v, nil, err
		}
		if late {
			out = timeoutOf(&event{id: id, timeout: limit})
		}
		v.log.line("START RequestId: " + id + " Version: " + f.version())
		v.reportLines(id, time.Since(begin), out)
		return v, &out, nil
	}
}

// exchange turns a dead member back into a place.
func (p *pool) exchange(v *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.members, v)
	p.pending++
}

// oneLine compacts JSON, so that it can be a header's value.
func oneLine(text string) string {
	if text == "" {
		return ""
	}
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return ""
	}
	data, _ := json.Marshal(v)
	return string(data)
}
