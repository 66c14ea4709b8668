package function

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// native returns the built-in function that f's zip asks for, nil when it asks
// for none or for another version than we have: then its own code runs.
func (e *Engine) native(f Function) (Native, error) {
	if len(e.cfg.Natives) == 0 {
		return nil, nil
	}
	e.mu.Lock()
	says, known := e.natives[f.CodeSHA256]
	e.mu.Unlock()
	if !known {
		data, err := os.ReadFile(e.zipFile(f.CodeSHA256))
		if err != nil {
			return nil, fmt.Errorf("read the code of function %s: %w", f.Name, err)
		}
		entries, err := readZip(data)
		if err != nil {
			return nil, err
		}
		says = nativeOf(entries)
		e.mu.Lock()
		e.natives[f.CodeSHA256] = says
		e.mu.Unlock()
	}
	return e.cfg.Natives[says], nil
}

func (p *pool) place(ctx context.Context, f Function, limit int, hard bool) error {
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	for {
		p.mu.Lock()
		closed, full, changed := p.closed, len(p.members)+p.pending >= limit, p.changed
		if !closed && !full {
			p.pending++
		}
		p.mu.Unlock()
		switch {
		case closed:
			return errClosed()
		case !full:
			return nil
		case hard:
			return tooMany(f)
		}
		select {
		case <-changed:
		case <-patience.C:
			return tooMany(f)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// runNative runs a built-in function as if it were a process: own credentials
// for this invocation alone, the timeout, and the log. A native that does not
// heed its context is left behind when its time is over.
func (e *Engine) runNative(native Native, f Function, req Request) (outcome, *writer, error) {
	timeout := time.Duration(f.Timeout) * time.Second
	ctx, cancel := context.WithTimeout(withTrace(e.ctx, req.Trace), timeout)
	defer cancel()
	creds, err := e.mint(ctx, f)
	if err != nil {
		return outcome{}, nil, err
	}
	log := e.newWriter(f, creds, e.nativeStream(f))
	log.line("START RequestId: " + req.RequestID + " Version: " + f.version())
	begin := time.Now()
	e.working(creds.AccessKeyID, req.Trace)
	defer e.rested(creds.AccessKeyID)
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- failure("panic", fmt.Sprint(p))
			}
		}()
		result, err := native(ctx, Invocation{Function: f, RequestID: req.RequestID, Event: req.Payload,
			Credentials: creds, Trace: req.Trace, Deadline: begin.Add(timeout)})
		switch {
		case err != nil:
			done <- failure("Error", err.Error())
		case len(result) > MaxResponse:
			done <- failure("Function.ResponseSizeTooLarge", fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponse))
		default:
			done <- outcome{payload: result}
		}
	}()
	var out outcome
	select {
	case out = <-done:
	case <-ctx.Done():
		if e.ctx.Err() != nil {
			return outcome{}, log, errClosed()
		}
		ev := &event{id: req.RequestID, timeout: timeout}
		out = timeoutOf(ev)
		log.line(out.last)
	}
	if out.failed {
		log.line("[ERROR] " + string(out.payload))
	}
	log.line("END RequestId: " + req.RequestID)
	log.line(reportLine(f, req.RequestID, time.Since(begin), 0))
	return out, log, nil
}

// nativeStream is the stream of all runs of a native on one day.
func (e *Engine) nativeStream(f Function) string {
	day, key := e.cfg.Now().UTC().Format("2006/01/02"), f.Name+" "+f.version()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !strings.HasPrefix(e.streams[key], day) {
		e.streams[key] = e.newStream(f)
	}
	return e.streams[key]
}

// --- what a process is given

// variables are the environment of a process. The customer's come after the
// ones that they may change, and before those that they may not.
func (v *environment) variables() []string {
	e, f := v.engine, v.function
	vars := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG": "en_US.UTF-8", "TZ": ":UTC",
		"LD_LIBRARY_PATH": v.code.dir + ":" + filepath.Join(v.code.dir, "lib"),
		// Not set on AWS; here the server's user may have a home, which its
		// functions cannot read, and programs stumble over that.
		"HOME": v.scratch,
	}
	if e.cfg.Environment != nil {
		for _, kv := range e.cfg.Environment(f) {
			name, value, _ := strings.Cut(kv, "=")
			vars[name] = e.certificates(name, value)
		}
	}
	for name, value := range f.Environment {
		vars[name] = value
	}
	boot := e.interpreters.boot
	switch {
	case pythonRuntime.MatchString(f.Runtime):
		join(vars, "PYTHONPATH", filepath.Join(boot, "python"))
		vars["PYTHONDONTWRITEBYTECODE"] = "1" // the code directory is read-only
		if vars["AWS_STS_REGIONAL_ENDPOINTS"] == "" {
			vars["AWS_STS_REGIONAL_ENDPOINTS"] = "regional" // an old boto3 would sign for us-east-1
		}
	case nodeRuntime.MatchString(f.Runtime):
		join(vars, "NODE_PATH", filepath.Join(v.code.dir, "node_modules"))
	}
	if !isProvided(f.Runtime) {
		vars["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + f.Runtime
		vars["LAMBDA_RUNTIME_DIR"] = boot
	} else {
		vars["LAMBDA_RUNTIME_DIR"] = "/var/runtime"
	}
	c := v.credentials
	for name, value := range map[string]string{
		"_HANDLER": f.Handler, "LAMBDA_TASK_ROOT": v.code.dir, "AWS_LAMBDA_RUNTIME_API": v.listener.Addr().String(),
		"AWS_REGION": e.cfg.Place.Region, "AWS_DEFAULT_REGION": e.cfg.Place.Region,
		"AWS_ACCESS_KEY_ID": c.AccessKeyID, "AWS_SECRET_ACCESS_KEY": c.SecretAccessKey, "AWS_SESSION_TOKEN": c.SessionToken,
		"AWS_LAMBDA_FUNCTION_NAME": f.Name, "AWS_LAMBDA_FUNCTION_VERSION": f.version(),
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(f.MemorySize), "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":  "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME": v.log.stream,
		"AWS_XRAY_CONTEXT_MISSING":   "LOG_ERROR", "TMPDIR": v.scratch,
	} {
		vars[name] = value
	}
	list := make([]string, 0, len(vars))
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	return list
}

func join(vars map[string]string, name, path string) {
	if vars[name] != "" {
		path = vars[name] + ":" + path
	}
	vars[name] = path
}

func (e *Engine) certificatesDir() string { return filepath.Join(e.run, "certificates") }

// certificates copies the file of a variable that names CA certificates to
// where processes can read it, and returns the copy's name. Certificates are
// public; a file that cannot be copied is named as it is, and the process will say so.
func (e *Engine) certificates(name, file string) string {
	switch name {
	case "AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE":
	default:
		return file
	}
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), "BEGIN CERTIFICATE") || strings.Contains(string(data), "PRIVATE KEY") {
		e.cfg.Log.Warn("certificates for functions cannot be used", "variable", name, "file", file)
		return file
	}
	to := filepath.Join(e.certificatesDir(), fmt.Sprintf("%x.pem", shaOf(data)))
	if _, err := os.Stat(to); err == nil {
		return to
	}
	tmp := to + newID()
	if err := os.WriteFile(tmp, data, 0o444); err != nil {
		return file
	}
	os.Chmod(tmp, 0o444)
	if err := os.Rename(tmp, to); err != nil {
		return file
	}
	return to
}

// mayRead leaves out what would open more than an interpreter: a prefix that
// is the root, or above the server's own files.
func (e *Engine) mayRead(paths []string) []string {
	var kept []string
	for _, p := range paths {
		p = filepath.Clean(p)
		inside := func(q string) bool { return q == p || strings.HasPrefix(q, strings.TrimSuffix(p, "/")+"/") }
		if p == "/" || inside(e.cfg.Dir) || inside(filepath.Join(e.run, "code")) || p == os.Getenv("HOME") {
			continue
		}
		kept = append(kept, p)
	}
	return kept
}
