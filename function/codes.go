package function

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// codes keeps unpacked zips, one directory for each function and version of
// its code: the group that may read it is that function's.
type codes struct {
	engine *Engine

	mu   sync.Mutex
	dirs map[string]*codeDir // by function and SHA-256

	zipMu sync.Mutex
	fresh map[string]time.Time // when a zip was last stored
}

// A codeDir is the code of a function as its processes see it: read-only.
type codeDir struct {
	key, dir string
	gid      int // 0: the server's
	users    int
	stale    bool // not the function's code any more; removed with its last user
	once     sync.Once
	err      error
}

// use unpacks f's code unless it is unpacked already. leave must be called.
func (c *codes) use(f Function) (*codeDir, error) {
	key := f.Name + " " + f.CodeSHA256
	c.mu.Lock()
	d := c.dirs[key]
	if d == nil {
		d = &codeDir{key: key}
		c.dirs[key] = d
	}
	d.users++
	c.mu.Unlock()
	d.once.Do(func() { d.err = c.unpack(d, f) })
	if d.err != nil {
		c.mu.Lock()
		d.stale = true // tried again next time
		c.mu.Unlock()
		c.leave(d)
		return nil, d.err
	}
	return d, nil
}

func (c *codes) unpack(d *codeDir, f Function) error {
	data, err := os.ReadFile(c.engine.zipFile(f.CodeSHA256))
	if err != nil {
		return fmt.Errorf("read the code of function %s: %w", f.Name, err)
	}
	entries, err := readZip(data)
	if err != nil {
		return err
	}
	if c.engine.confiner.switchUser {
		id, ok := c.engine.confiner.id()
		if !ok {
			return fmt.Errorf("no group is left for function %s", f.Name)
		}
		d.gid = id
	}
	if d.dir, err = os.MkdirTemp(filepath.Join(c.engine.run, "code"), "c"); err != nil {
		return fmt.Errorf("unpack function %s: %w", f.Name, err)
	}
	return unpack(entries, d.dir, d.gid)
}

func (c *codes) leave(d *codeDir) {
	c.mu.Lock()
	d.users--
	gone := d.users == 0 && d.stale
	if d.stale && c.dirs[d.key] == d {
		delete(c.dirs, d.key)
	}
	c.mu.Unlock()
	if gone {
		c.remove(d)
	}
}

// forget removes the unpacked code of a function but for what is kept, as soon
// as no process uses it.
func (c *codes) forget(name string, kept func(sha string) bool) {
	c.mu.Lock()
	var gone []*codeDir
	for key, d := range c.dirs {
		if len(key) > len(name) && key[:len(name)+1] == name+" " && !kept(key[len(name)+1:]) {
			d.stale = true
			delete(c.dirs, key)
			if d.users == 0 {
				gone = append(gone, d)
			}
		}
	}
	c.mu.Unlock()
	for _, d := range gone {
		c.remove(d)
	}
}

func (c *codes) remove(d *codeDir) {
	if d.dir != "" {
		removeTree(d.dir)
	}
	if d.gid != 0 {
		c.engine.confiner.release(d.gid)
	}
}
