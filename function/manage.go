package function

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strait"
	"strait/state"
)

const (
	functionKey = "function/f/"
	tries       = 8 // of a change that another change came before
)

// Create keeps a new function with its zip; writes in also (such as its
// documents in identity) are made in the same batch. Timeout and MemorySize
// may be 0 for AWS's defaults. Exists "function".
func (e *Engine) Create(ctx context.Context, f Function, code []byte, also ...state.Write) (Function, error) {
	if f.Timeout == 0 {
		f.Timeout = 3
	}
	if f.MemorySize == 0 {
		f.MemorySize = 128
	}
	if err := f.check(); err != nil {
		return Function{}, err
	}
	if _, err := e.Get(ctx, f.Name); err == nil {
		return Function{}, exists(f.Name)
	}
	f.ARN = e.cfg.Place.Lambda(f.Name)
	last, err := e.lastNumber(ctx, f.Name)
	if err != nil {
		return Function{}, fmt.Errorf("create function %s: %w", f.Name, err)
	}
	f.Version, f.LastVersion, f.Published = "", last, ""
	if err := e.keepCode(&f, code); err != nil {
		return Function{}, err
	}
	e.touch(&f)
	w, err := f.write(state.Absent())
	if err != nil {
		return Function{}, err
	}
	_, err = e.cfg.Store.Apply(ctx, append([]state.Write{w}, also...)...)
	if errors.Is(err, state.ErrConflict) {
		return Function{}, exists(f.Name)
	}
	if err != nil {
		return Function{}, fmt.Errorf("create function %s: %w", f.Name, err)
	}
	return f, nil
}

func exists(name string) error {
	return strait.Errorf(strait.Exists, "function", "Function already exist: %s", name)
}

func (e *Engine) touch(f *Function) {
	f.Modified = e.cfg.Now().UTC()
	f.Revision = newID()
}

func (f Function) write(expect state.Expect) (state.Write, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return state.Write{}, fmt.Errorf("write function %s: %w", f.Name, err)
	}
	return state.Write{Key: functionKey + f.Name, Value: data, Expect: expect}, nil
}

// Get returns the function called name, or NotFound "function".
func (e *Engine) Get(ctx context.Context, name string) (Function, error) {
	f, _, err := e.get(ctx, name)
	return f, err
}

func (e *Engine) get(ctx context.Context, name string) (Function, state.Revision, error) {
	if checkName(name) != nil {
		return Function{}, 0, e.notFound(name)
	}
	fact, err := e.cfg.Store.Get(ctx, functionKey+name)
	if errors.Is(err, state.ErrNotFound) {
		return Function{}, 0, e.notFound(name)
	}
	if err != nil {
		return Function{}, 0, fmt.Errorf("get function %s: %w", name, err)
	}
	f, err := readFunction(fact)
	return f, fact.Revision, err
}

func (e *Engine) notFound(name string) error {
	return strait.Errorf(strait.NotFound, "function", "Function not found: %.300s", e.cfg.Place.Lambda(name))
}

func readFunction(fact state.Fact) (Function, error) {
	var f Function
	if err := json.Unmarshal(fact.Value, &f); err != nil {
		return f, fmt.Errorf("read the fact %s: %w", fact.Key, err)
	}
	return f, nil
}

// List returns up to limit functions (0: all) with names after the given one,
// sorted by name.
func (e *Engine) List(ctx context.Context, after string, limit int) ([]Function, error) {
	if after != "" {
		after = functionKey + after
	}
	facts, err := e.cfg.Store.List(ctx, functionKey, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list functions: %w", err)
	}
	list := make([]Function, 0, len(facts))
	for _, fact := range facts {
		f, err := readFunction(fact)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// Code returns the zip of a function or of a version.
func (e *Engine) Code(ctx context.Context, name, qualifier string) ([]byte, error) {
	f, err := e.Resolve(ctx, name, qualifier)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(e.zipFile(f.CodeSHA256))
	if err != nil {
		return nil, fmt.Errorf("read the code of function %s: %w", name, err)
	}
	return data, nil
}

// UpdateCode replaces the zip, and the architecture unless it is "". With a revision that is not "" and not the
// function's own it fails with Precondition "revision".
func (e *Engine) UpdateCode(ctx context.Context, name, revision, architecture string, code []byte) (Function, error) {
	return e.update(ctx, name, revision, func(f *Function) error {
		if architecture != "" {
			f.Architecture = architecture
			if err := f.check(); err != nil {
				return err
			}
		}
		return e.keepCode(f, code)
	})
}

// UpdateConfig lets change alter the configuration (role, runtime, handler,
// description, timeout, memory, environment, dead letter); other fields are
// put back. revision is as in UpdateCode. change may be called again when
// another update came before.
func (e *Engine) UpdateConfig(ctx context.Context, name, revision string, change func(*Function)) (Function, error) {
	return e.update(ctx, name, revision, func(f *Function) error {
		was := *f
		*f = clone(was)
		change(f)
		f.Name, f.ARN, f.CodeSHA256, f.CodeSize = was.Name, was.ARN, was.CodeSHA256, was.CodeSize
		f.Version, f.LastVersion, f.Published = was.Version, was.LastVersion, was.Published
		f.Tags, f.Reserved = was.Tags, was.Reserved
		return f.check()
	})
}

// Settings are what a function has beside its code and configuration: changing
// them makes no new revision, and processes that run go on.
type Settings struct {
	Tags     map[string]string
	Reserved *int
}

// UpdateSettings lets change alter the settings; it may be called again, as
// UpdateConfig's.
func (e *Engine) UpdateSettings(ctx context.Context, name string, change func(*Settings)) (Function, error) {
	return e.rewrite(ctx, name, "", func(f *Function) error {
		*f = clone(*f)
		s := Settings{f.Tags, f.Reserved}
		change(&s)
		f.Tags, f.Reserved = s.Tags, s.Reserved
		return f.check()
	})
}

// update rewrites what processes run with: those of before end.
func (e *Engine) update(ctx context.Context, name, revision string, change func(*Function) error) (Function, error) {
	oldCode := ""
	f, err := e.rewrite(ctx, name, revision, func(f *Function) error {
		oldCode = f.CodeSHA256
		if err := change(f); err != nil {
			return err
		}
		e.touch(f)
		return nil
	})
	if err != nil {
		return Function{}, err
	}
	e.pool(name).retire("")
	if f.CodeSHA256 != oldCode {
		if err := e.dropCode(ctx, name, oldCode); err != nil {
			e.cfg.Log.Warn("old code of a function is left until the next start", "function", name, "error", err)
		}
	}
	return f, nil
}

// rewrite lets change alter the record of a function.
func (e *Engine) rewrite(ctx context.Context, name, revision string, change func(*Function) error) (Function, error) {
	for range tries {
		f, at, err := e.get(ctx, name)
		if err != nil {
			return Function{}, err
		}
		if revision != "" && revision != f.Revision {
			return Function{}, staleRevision()
		}
		if err := change(&f); err != nil {
			return Function{}, err
		}
		w, err := f.write(state.At(at))
		if err != nil {
			return Function{}, err
		}
		_, err = e.cfg.Store.Apply(ctx, w)
		if errors.Is(err, state.ErrConflict) {
			continue
		}
		if err != nil {
			return Function{}, fmt.Errorf("update function %s: %w", name, err)
		}
		return f, nil
	}
	return Function{}, busy(name)
}

// Delete forgets a function, its versions, aliases and queued events, and ends
// its processes; writes in also are made in the same batch.
func (e *Engine) Delete(ctx context.Context, name string, also ...state.Write) error {
	versions, err := e.Versions(ctx, name)
	if err != nil {
		return err
	}
	writes := append([]state.Write{{Key: functionKey + name, Delete: true, Expect: state.Present()}}, also...)
	for _, prefix := range []string{versionKey, aliasKey, asyncKey} {
		facts, err := e.cfg.Store.List(ctx, prefix+name+"/", "", 0)
		if err != nil {
			return fmt.Errorf("delete function %s: %w", name, err)
		}
		for _, fact := range facts {
			writes = append(writes, state.Write{Key: fact.Key, Delete: true})
		}
	}
	_, err = e.cfg.Store.Apply(ctx, writes...)
	if errors.Is(err, state.ErrConflict) {
		return e.notFound(name)
	}
	if err != nil {
		return fmt.Errorf("delete function %s: %w", name, err)
	}
	e.mu.Lock()
	p := e.pools[name]
	delete(e.pools, name)
	e.mu.Unlock()
	if p != nil {
		p.close()
	}
	e.codes.forget(name, func(string) bool { return false })
	for _, v := range versions {
		e.dropZip(ctx, v.CodeSHA256)
	}
	return e.queue.forget(ctx, name)
}

// --- zips

func shaOf(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

// zipFile is where the zip with this (base64) SHA-256 is kept: named by what it holds.
func (e *Engine) zipFile(sha string) string {
	raw, _ := base64.StdEncoding.DecodeString(sha)
	return filepath.Join(e.zips(), fmt.Sprintf("%x.zip", raw))
}

// keepCode checks a zip, stores it durably and names it in f.
func (e *Engine) keepCode(f *Function, code []byte) error {
	if _, err := readZip(code); err != nil {
		return err
	}
	f.CodeSHA256, f.CodeSize = base64.StdEncoding.EncodeToString(shaOf(code)), int64(len(code))
	file := e.zipFile(f.CodeSHA256)
	e.codes.zipMu.Lock()
	defer e.codes.zipMu.Unlock()
	e.codes.fresh[f.CodeSHA256] = time.Now()
	if st, err := os.Stat(file); err == nil && st.Size() == f.CodeSize {
		return nil
	}
	tmp, err := os.CreateTemp(e.zips(), "new-") // 0600
	if err != nil {
		return fmt.Errorf("keep code: %w", err)
	}
	_, err = tmp.Write(code)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err == nil {
		err = syncDir(e.zips())
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("keep code: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// dropZip removes a zip that no function names. One that was just stored may
// be about to be named: it is left for the next start.
func (e *Engine) dropZip(ctx context.Context, sha string) {
	named, err := e.inUse(ctx)
	if err != nil || named[e.zipFile(sha)] {
		return // after a failure the next start sweeps
	}
	e.codes.zipMu.Lock()
	defer e.codes.zipMu.Unlock()
	if time.Since(e.codes.fresh[sha]) < time.Minute {
		return
	}
	delete(e.codes.fresh, sha)
	os.Remove(e.zipFile(sha))
	e.mu.Lock()
	delete(e.natives, sha)
	e.mu.Unlock()
}

// sweepZips removes what an earlier engine left: zips that no function names.
func (e *Engine) sweepZips(ctx context.Context) error {
	named, err := e.inUse(ctx)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(e.zips())
	if err != nil {
		return err
	}
	for _, d := range files {
		file := filepath.Join(e.zips(), d.Name())
		if !named[file] && (strings.HasSuffix(file, ".zip") || strings.HasPrefix(d.Name(), "new-")) {
			os.Remove(file)
		}
	}
	return nil
}

// CheckCode judges a zip as Create and UpdateCode do, and keeps nothing.
func CheckCode(code []byte) error {
	_, err := readZip(code)
	return err
}
