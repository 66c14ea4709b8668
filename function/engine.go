package function

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"strait"
)

// An Engine keeps functions and runs them. Its methods may be called from many
// goroutines. Failures that a caller may be told are *strait.Error with the
// things "function", "name", "code", "runtime", "handler", "timeout", "memory",
// "description", "environment", "role", "payload", "concurrency", "revision", "sandbox", "queue".
type Engine struct {
	cfg          Config
	run          string // what processes may see: code, scratch, boot, certificates
	confiner     *confiner
	warden       *warden
	interpreters *interpreters
	codes        *codes
	queue        *queue
	spawning     chan func()

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	// writing are the lines that are being handed to the Logger.
	writing sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	resumed bool // the queue runs
	pools   map[string]*pool
	silent  bool              // nothing is logged any more
	streams map[string]string // of natives: function and version -> stream
	traces  map[string]string // access key id of a busy environment -> trace
	natives map[string]string // SHA-256 of a zip -> what its strait-native says
}

// Open starts an engine and takes up the queued events of an earlier one, which
// run after Resume.
func Open(ctx context.Context, cfg Config) (_ *Engine, err error) {
	if cfg.Store == nil || cfg.Dir == "" || cfg.Credentials == nil {
		return nil, errors.New("open functions: Store, Dir and Credentials are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxEnvironments <= 0 {
		cfg.MaxEnvironments = DefaultMax
	}
	if cfg.Backoff == nil {
		cfg.Backoff = func(n int) time.Duration { return time.Duration(n) * time.Minute }
	}
	e := &Engine{cfg: cfg, confiner: newConfiner(), warden: newWarden(cfg.Log), spawning: make(chan func()),
		pools: map[string]*pool{}, streams: map[string]string{}, traces: map[string]string{}, natives: map[string]string{}}
	defer func() {
		if err != nil {
			e.confiner.close()
		}
	}()
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, d := range []string{cfg.Dir, e.zips()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open functions: %w", err)
		}
	}
	if err := e.makeRun(); err != nil {
		return nil, fmt.Errorf("open functions: %w", err)
	}
	defer func() {
		if err != nil {
			removeTree(e.run)
		}
	}()
	e.interpreters = &interpreters{boot: filepath.Join(e.run, "boot"), others: e.confiner.switchUser}
	e.codes = &codes{engine: e, dirs: map[string]*codeDir{}, fresh: map[string]time.Time{}}
	e.queue = newQueue(e)
	if err := e.sweepZips(ctx); err != nil {
		return nil, fmt.Errorf("open functions: %w", err)
	}
	if err := e.queue.load(ctx); err != nil {
		return nil, fmt.Errorf("open the queue of functions: %w", err)
	}
	go e.spawner()
	e.tasks.Go(e.tend)
	e.tasks.Go(func() { e.warden.run(e.ctx) })
	return e, nil
}

// Resume begins to run queued events, those of an earlier engine first. Call it
// once what functions lead to can be called; later calls do nothing.
func (e *Engine) Resume() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed && !e.resumed {
		e.resumed = true
		e.tasks.Go(e.queue.run)
	}
}

// Close ends all processes and removes what they wrote. Events that were
// running are still queued and run again after the next Open.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	pools := e.allPools()
	e.mu.Unlock()
	e.cancel()
	for _, p := range pools {
		p.close()
	}
	e.tasks.Wait()
	close(e.spawning)
	e.mu.Lock()
	e.silent = true
	e.mu.Unlock()
	e.writing.Wait()
	errs := []error{removeTree(e.run)}
	os.Remove(e.runNote())
	e.confiner.close() // nothing of its uids runs any more
	return errors.Join(errs...)
}

func (e *Engine) zips() string    { return filepath.Join(e.cfg.Dir, "code") }
func (e *Engine) runNote() string { return filepath.Join(e.cfg.Dir, "run") }

// makeRun makes the directory that processes may look into. It lies outside of
// Dir, because Dir is below --data, which other uids cannot enter. Names are
// unguessable and the directory cannot be listed, but that is not what protects what is in it.
func (e *Engine) makeRun() error {
	base := e.cfg.Run
	if base == "" {
		// Not /tmp where it can be helped: a function's /tmp is its scratch.
		if base = "/var/tmp"; !isDir(base) {
			base = os.TempDir()
		}
	}
	e.removeStale()
	run, err := os.MkdirTemp(base, "strait-functions-")
	if err != nil {
		return err
	}
	e.run = run
	for _, d := range []string{"", "code", "scratch", "certificates"} {
		d = filepath.Join(run, d)
		if err := os.MkdirAll(d, 0o711); err != nil {
			return err
		}
		if err := os.Chmod(d, 0o711); err != nil {
			return err
		}
	}
	if err := writeBoot(run); err != nil {
		return err
	}
	return os.WriteFile(e.runNote(), []byte(run), 0o600)
}

// removeStale clears away what a killed server left.
func (e *Engine) removeStale() {
	note, err := os.ReadFile(e.runNote())
	if err == nil && strings.HasPrefix(filepath.Base(string(note)), "strait-functions-") && isDir(string(note)) {
		removeTree(string(note))
	}
}

func isDir(p string) bool {
	st, err := os.Lstat(p)
	return err == nil && st.IsDir()
}

// removeTree removes also what is read-only. Nothing may be writing in it.
func removeTree(dir string) error {
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o700) // before it is read; WalkDir calls again when that failed
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// spawner starts processes from one thread that lives as long as the engine:
// they are told to die with the thread that started them. Leaving it locked
// ends the thread, and with it whatever were still running.
func (e *Engine) spawner() {
	runtime.LockOSThread()
	for f := range e.spawning {
		f()
	}
}

func (e *Engine) spawn(start func() error) error {
	done := make(chan error, 1)
	select {
	case e.spawning <- func() { done <- start() }:
		return <-done
	case <-e.ctx.Done():
		return errClosed()
	}
}

func errClosed() error {
	return strait.Errorf(strait.Unavailable, "function", "the server is shutting down")
}

// tend ends environments that are not needed any more.
func (e *Engine) tend() {
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-tick.C:
		}
		e.mu.Lock()
		pools := e.allPools()
		e.mu.Unlock()
		for _, p := range pools {
			p.tend(e.cfg.Now())
		}
	}
}

// Current tells for which trace the process (or native function) that holds
// the credentials with this access key id is working right now.
func (e *Engine) Current(accessKeyID string) (trace string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	trace, ok = e.traces[accessKeyID]
	return trace, ok
}

func (e *Engine) working(accessKeyID, trace string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.traces[accessKeyID] = trace
}

func (e *Engine) rested(accessKeyID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.traces, accessKeyID)
}

func (e *Engine) pool(name string) *pool {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.pools[name]
	if p == nil {
		p = newPool()
		p.closed = e.closed
		e.pools[name] = p
	}
	return p
}

// allPools needs e.mu.
func (e *Engine) allPools() []*pool {
	all := make([]*pool, 0, len(e.pools))
	for _, p := range e.pools {
		all = append(all, p)
	}
	return all
}

func (e *Engine) tell(ev Event) {
	ev.Time = e.cfg.Now()
	if len(ev.Message) > 1024 {
		ev.Message = strings.ToValidUTF8(ev.Message[:1024], "")
	}
	e.cfg.Log.Warn("function "+ev.Kind, "function", ev.Function, "request", ev.RequestID, "trace", ev.Trace, "attempt", ev.Attempt, "message", ev.Message)
	if e.cfg.Events != nil {
		e.cfg.Events(ev)
	}
}

// mint gets a session of f's role; an error that is not for callers becomes
// one that says what failed.
func (e *Engine) mint(ctx context.Context, f Function) (strait.Credentials, error) {
	c, err := e.cfg.Credentials.Credentials(ctx, f)
	if err == nil {
		return c, nil
	}
	var known *strait.Error
	if errors.As(err, &known) {
		return c, err
	}
	return c, &strait.Error{Kind: strait.Internal, Thing: "role", Message: "the credentials of the execution role could not be made", Err: err}
}

// newID makes a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
