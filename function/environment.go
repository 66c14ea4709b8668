package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"strait"
)

// An environment is one process of a function with its Runtime API.
type environment struct {
	engine      *Engine
	function    Function
	credentials strait.Credentials
	retire      time.Time // not to be used from then on: its credentials end
	code        *codeDir
	uid         int // 0: the server's
	scratch     string
	listener    net.Listener
	server      *http.Server
	log         *writer
	meter       *meter
	pipe        *logPipe
	cmd         *exec.Cmd
	initTime    time.Duration // of the first start, until it was reported
	idle        func()        // tells the pool that the runtime has called next again

	events     chan *event
	ready      chan struct{} // closed at the first call of next
	initFailed chan struct{} // closed when initError is set
	dead       chan struct{} // closed when the process has ended and nothing is left of it

	mu        sync.Mutex
	phase     phase
	waiting   bool
	current   *event
	initError []byte
	exit      string        // how the process ended
	report    *helperReport // set when the helper did not become the runtime
	buried    bool          // do not kill any more: the id may be another's
}

// start prepares and starts an environment for f; it does not wait for the
// runtime to be ready. What it took is given back when it fails, or when the process ends.
func (e *Engine) start(ctx context.Context, f Function) (_ *environment, err error) {
	creds, err := e.mint(ctx, f)
	if err != nil {
		return nil, err
	}
	v := &environment{engine: e, function: f, credentials: creds, retire: retireAt(creds, f, e.cfg.Now()),
		events: make(chan *event), ready: make(chan struct{}), initFailed: make(chan struct{}), dead: make(chan struct{}),
		idle: func() {}, log: e.newWriter(f, creds, e.newStream(f))}
	defer func() {
		if err != nil {
			v.cleanup()
		}
	}()
	if v.code, err = e.codes.use(f); err != nil {
		return nil, err
	}
	cmd, err := e.interpreters.command(ctx, f.Runtime, v.code.dir)
	if err != nil {
		return nil, err
	}
	if nodeRuntime.MatchString(f.Runtime) {
		cmd.args = slices.Insert(slices.Clone(cmd.args), 1, heapOfNode(f.MemorySize))
	}
	if err = v.prepare(); err != nil {
		return nil, fmt.Errorf("prepare an environment: %w", err)
	}
	if err = v.launch(cmd); err != nil {
		return nil, fmt.Errorf("start an environment: %w", err)
	}
	return v, nil
}

// retireAt leaves room for a whole invocation, and a quarter of the lifetime
// for what the function hands on.
func retireAt(c strait.Credentials, f Function, now time.Time) time.Time {
	if c.Expiration.IsZero() {
		return now.Add(100 * 365 * 24 * time.Hour)
	}
	left := c.Expiration.Sub(now)
	reserve := max(left/4, time.Duration(f.Timeout)*time.Second+time.Minute)
	return c.Expiration.Add(-min(reserve, left/2))
}

// prepare makes the uid, the scratch directory, the meter, the Runtime API and the log.
func (v *environment) prepare() (err error) {
	if v.engine.confiner.switchUser {
		id, ok := v.engine.confiner.id()
		if !ok {
			return strait.Errorf(strait.Limit, "concurrency", "too many processes of functions at a time")
		}
		v.uid = id
	}
	if v.scratch, err = os.MkdirTemp(filepath.Join(v.engine.run, "scratch"), "s"); err != nil {
		return err
	}
	if v.uid != 0 {
		if err := os.Chown(v.scratch, v.uid, v.code.gid); err != nil {
			return err
		}
	}
	if v.meter, err = v.engine.warden.meter(int64(v.function.MemorySize) << 20); err != nil {
		return err
	}
	if v.pipe, err = newLogPipe(v.log); err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	v.listener = &checkedListener{Listener: l, check: v.checkPeer}
	v.server = &http.Server{Handler: v, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10, ErrorLog: log.New(io.Discard, "", 0)}
	return nil
}

// checkPeer is called for each connection; before the process has started
// nobody is right.
func (v *environment) checkPeer(c net.Conn) error {
	v.mu.Lock()
	pid := 0
	if v.cmd != nil && v.cmd.Process != nil && !v.buried {
		pid = v.cmd.Process.Pid
	}
	v.mu.Unlock()
	if pid == 0 {
		return errors.New("there is no process")
	}
	return checkPeer(c, pid, v.uid)
}

func (v *environment) launch(c command) error {
	self := selfPath
	if self == "" {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		self = exe
	}
	spec, err := json.Marshal(confinement{
		Path: c.path, Args: c.args, Env: v.variables(), Dir: v.code.dir, Scratch: v.scratch,
		Switch: v.uid != 0, UID: v.uid, GID: v.code.gid, Landlock: v.engine.confiner.landlock, Trust: v.engine.cfg.Trust,
		Read: v.engine.mayRead(append(c.read, v.engine.certificatesDir())), Parent: os.Getpid(),
	})
	if err != nil {
		return err
	}
	specR, specW, err := os.Pipe()
	if err != nil {
		return err
	}
	reportR, reportW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, specR.Close(), specW.Close())
	}
	cmd := &exec.Cmd{Path: self, Args: []string{helperName}, Dir: "/", Env: []string{}, Stdout: v.pipe.w, Stderr: v.pipe.w,
		ExtraFiles: []*os.File{specR, reportW}, SysProcAttr: attributes()}
	placed, err := v.meter.attach(cmd.SysProcAttr)
	if err == nil {
		v.mu.Lock()
		v.cmd = cmd
		err = v.engine.spawn(cmd.Start)
		v.mu.Unlock()
		placed()
	}
	specR.Close()
	reportW.Close()
	if err != nil {
		return errors.Join(err, specW.Close(), reportR.Close())
	}
	go func() {
		specW.Write(spec)
		specW.Close()
	}()
	v.meter.started(cmd.Process.Pid, v.uid, v.busy, v.kill)
	go v.server.Serve(v.listener)
	go v.watch(reportR)
	return nil
}

// watch sees the process to its end and clears away what it leaves.
func (v *environment) watch(reportR *os.File) {
	pid := v.cmd.Process.Pid
	if told, _ := io.ReadAll(io.LimitReader(reportR, 64<<10)); len(told) > 0 {
		var r helperReport
		if json.Unmarshal(told, &r) == nil {
			v.mu.Lock()
			v.report = &r
			v.mu.Unlock()
		}
	}
	reportR.Close()
	awaitExit(pid)
	killAll(pid, v.uid)
	v.meter.ended()
	v.mu.Lock()
	v.buried = true
	v.mu.Unlock()
	err := v.cmd.Wait()
	v.pipe.flush()
	v.mu.Lock()
	v.exit = exitText(err)
	v.current = nil
	v.mu.Unlock()
	v.engine.rested(v.credentials.AccessKeyID)
	v.cleanup()
	close(v.dead)
}

func exitText(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "Runtime exited with error: " + strings.TrimSuffix(exit.ProcessState.String(), " (core dumped)")
	}
	return "Runtime exited without providing a reason"
}

// kill ends the process; watch does the rest. It may be called again.
func (v *environment) kill() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.buried && v.cmd != nil && v.cmd.Process != nil {
		killAll(v.cmd.Process.Pid, v.uid)
	}
}

func (v *environment) cleanup() {
	if v.server != nil {
		v.server.Close()
	}
	if v.listener != nil {
		v.listener.Close()
	}
	if v.pipe != nil {
		v.pipe.close()
	}
	if v.meter != nil {
		v.meter.close()
	}
	if v.scratch != "" {
		removeTree(v.scratch)
	}
	if v.code != nil {
		v.engine.codes.leave(v.code)
	}
	if v.uid != 0 {
		v.engine.confiner.release(v.uid)
	}
}

// await waits until the runtime has called next. ok is false when it did not;
// then the environment is dead or being killed, and out says why. err is for
// failures that are not the function's.
func (v *environment) await(id string, limit time.Duration) (out outcome, late bool, err error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-v.ready:
		return outcome{}, false, nil
	case <-v.initFailed:
		// It means to exit by itself; the error is what counts.
		v.kill()
		<-v.dead
	case <-v.dead:
	case <-timer.C:
		v.kill()
		<-v.dead
		return outcome{}, true, nil
	}
	return v.obituary(id)
}

// obituary says why a dead environment died.
func (v *environment) obituary(id string) (outcome, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.initError != nil:
		return outcome{payload: v.initError, failed: true}, false, nil
	case v.report != nil && v.report.Confining:
		return outcome{}, false, &strait.Error{Kind: strait.Internal, Thing: "sandbox", Message: "the function's process could not be confined", Err: errors.New(v.report.Message)}
	case v.report != nil:
		return failure("Runtime.InvalidEntrypoint", "RequestId: "+id+" Error: "+v.report.Message), false, nil
	}
	kind, text := "Runtime.ExitError", "RequestId: "+id+" Error: "+v.exit
	if v.meter.exceeded() {
		kind = outOfMemory
	}
	out := failure(kind, text)
	out.last, out.status = text+"\n"+kind, "error\tError Type: "+kind
	return out, false, nil
}

// handle gives ev to the runtime, which must be idle, and waits for its end.
// usable tells whether the environment goes on.
func (v *environment) handle(ev *event) (out outcome, usable bool, err error) {
	wait := time.NewTimer(10 * time.Second)
	defer wait.Stop()
	select {
	case v.events <- ev:
	case <-v.dead:
		out, _, err = v.obituary(ev.id)
		return out, false, err
	case <-wait.C:
		v.kill() // it has left next and does not come back
		<-v.dead
		out, _, err = v.obituary(ev.id)
		return out, false, err
	}
	<-ev.started
	begin := ev.deadline.Add(-ev.timeout)
	timer := time.NewTimer(time.Until(ev.deadline))
	defer timer.Stop()
	usable = true
	timedOut := false
	select {
	case out = <-ev.answer:
	case <-v.dead:
		usable = false
		select {
		case out = <-ev.answer: // it answered and died
		default:
			out, _, err = v.obituary(ev.id)
		}
	case <-timer.C:
		usable, timedOut = false, true
		v.kill()
		<-v.dead
		out = timeoutOf(ev)
	}
	if usable {
		v.pipe.flush()
	}
	took := time.Since(begin)
	if timedOut {
		took = ev.timeout
	}
	v.reportLines(ev.id, took, out)
	return out, usable, err
}

func timeoutText(ev *event) string {
	return fmt.Sprintf("Task timed out after %.2f seconds", ev.timeout.Seconds())
}

func timeoutOf(ev *event) outcome {
	out := failure("Sandbox.Timedout", "RequestId: "+ev.id+" Error: "+timeoutText(ev))
	out.last = time.Now().UTC().Format("2006-01-02T15:04:05.000Z") + " " + ev.id + " " + timeoutText(ev)
	out.status = "timeout"
	return out
}

// reportLines ends an invocation in the log.
func (v *environment) reportLines(id string, took time.Duration, out outcome) {
	text := reportLine(v.function, id, took, v.memory())
	if v.initTime > 0 {
		text += fmt.Sprintf("\tInit Duration: %.2f ms", float64(v.initTime.Microseconds())/1000)
		v.initTime = 0
	}
	if out.last != "" {
		v.log.line(out.last)
	}
	if out.status != "" {
		text += "\tStatus: " + out.status
	}
	v.log.line("END RequestId: " + id)
	v.log.line(text)
}

func reportLine(f Function, id string, took time.Duration, memory int) string {
	ms := float64(took.Microseconds()) / 1000
	return fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f ms\tMemory Size: %d MB\tMax Memory Used: %d MB",
		id, ms, float64(int64(ms)+1), f.MemorySize, memory)
}

// busy tells whether the process starts or works on an event.
func (v *environment) busy() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.phase != idle
}

// memory is the most that the environment took so far, in MB.
func (v *environment) memory() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return megabytes(v.meter.used())
}
