package power

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A Disk is the history of one directory as a trace tells it.
type Disk struct {
	base  string // what lies outside is not looked at
	root  *inode // base itself, which is there from the beginning
	names map[string]*inode
	gone  map[string]*inode // what a path led to last
}

// An inode is a file or a directory, whatever its name is just now.
type inode struct {
	dir     bool
	changes []*change // as they began
	syncs   []span
}

// A span is the time of a call.
type span struct{ enter, exit int }

// A change is one thing done to the bytes of a file, or to names.
type change struct {
	span
	in []*inode // whose syncs make it durable, all of them

	// Of a file, one of:
	offset int64
	data   []byte // written at offset
	hole   int64  // bytes that become zero from offset
	size   int64  // what the file is cut or extended to, when resize
	resize bool

	// Of a directory; entries of one change come and go together.
	remove []entry
	add    []entry
}

type entry struct {
	in   *inode
	name string
	to   *inode
}

// NewDisk follows what lies below base, an absolute clean path of an existing
// and empty directory.
func NewDisk(base string) *Disk {
	root := &inode{dir: true}
	return &Disk{base: base, root: root, names: map[string]*inode{base: root}, gone: map[string]*inode{}}
}

// Flags of open, fallocate, mmap and friends on Linux.
const (
	oCreat, oTrunc, oAppend, oDsync = 0x40, 0x200, 0x400, 0x1000
	punchHole, keepSize             = 2, 1
	mapShared, protWrite            = 1, 2
	renameNoReplace                 = 1
)

// Add takes the calls of a trace, in ReadTrace's order. A call that it cannot
// follow is an error when it may change something below base.
func (d *Disk) Add(c Call) error {
	if c.Result < 0 {
		return nil
	}
	var err error
	switch c.Name {
	case "open", "openat", "creat":
		err = d.open(c)
	case "write", "pwrite64":
		err = d.write(c)
	case "fsync", "fdatasync":
		err = d.sync(c)
	case "ftruncate", "fallocate":
		err = d.resize(c)
	case "truncate":
		err = d.truncate(c)
	case "rename", "renameat", "renameat2":
		err = d.rename(c)
	case "link", "linkat":
		err = d.link(c)
	case "unlink", "unlinkat", "rmdir":
		err = d.unlink(c)
	case "mkdir", "mkdirat":
		err = d.mkdir(c)
	case "mmap":
		err = d.mmap(c)
	case "sync_file_range", "msync": // promise nothing about power
	case "sync", "syncfs", "openat2", "io_uring_setup":
		err = errors.New("not modelled")
	default:
		err = d.refuse(c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

// refuse is for calls that no part of the server uses on files so far.
func (d *Disk) refuse(c Call) error {
	for _, arg := range c.Args {
		f, err := describe(arg)
		if err != nil {
			return err
		}
		if d.inside(f.path) {
			return fmt.Errorf("not modelled, and it touches %s", f.path)
		}
		if strings.HasPrefix(arg, `"`) && strings.Contains(c.Name, "link") {
			if p, err := text(arg); err != nil || d.inside(string(p)) {
				return fmt.Errorf("not modelled, and it touches %s", p)
			}
		}
	}
	return nil
}

func (d *Disk) inside(p string) bool {
	return p == d.base || strings.HasPrefix(p, d.base+"/")
}

// file returns what a descriptor leads to; nil for what is outside.
func (d *Disk) file(arg string) (*inode, error) {
	f, err := describe(arg)
	if err != nil || !d.inside(f.path) {
		return nil, err
	}
	if n := d.names[f.path]; n != nil && !f.deleted {
		return n, nil
	}
	if n := d.gone[f.path]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("nothing is known of %s", f.path)
}

// at makes a path absolute that is relative to a descriptor, or to the working
// directory.
func at(dir, name string) (string, error) {
	b, err := text(name)
	if err != nil {
		return "", err
	}
	if p := string(b); path.IsAbs(p) {
		return path.Clean(p), nil
	}
	f, err := describe(dir)
	if err == nil && f.path == "" {
		err = fmt.Errorf("%q is relative to an unknown directory", b)
	}
	return path.Join(f.path, string(b)), err
}

// nameArgs splits the arguments of the *at calls and of the old ones.
func nameArgs(c Call) (dir, name string, rest []string, err error) {
	args := c.Args
	if !strings.HasSuffix(c.Name, "at") && !strings.HasSuffix(c.Name, "at2") {
		args = append([]string{""}, args...)
	}
	if len(args) < 2 {
		return "", "", nil, errors.New("too few arguments")
	}
	return args[0], args[1], args[2:], nil
}

func (d *Disk) entry(p string) (entry, error) {
	parent := d.names[path.Dir(p)]
	if parent == nil {
		return entry{}, fmt.Errorf("nothing is known of %s", path.Dir(p))
	}
	return entry{in: parent, name: path.Base(p), to: d.names[p]}, nil
}

// did remembers a change.
func did(ch *change, c Call, in ...*inode) {
	ch.span = span{c.Enter, c.Exit}
	for _, n := range in {
		if !slices.Contains(ch.in, n) {
			ch.in = append(ch.in, n)
			n.changes = append(n.changes, ch)
		}
	}
}

func (d *Disk) open(c Call) error {
	dir, name, rest, err := nameArgs(c)
	if err != nil {
		return err
	}
	p, err := at(dir, name)
	if err != nil || !d.inside(p) {
		return nil //nolint:nilerr // what cannot be resolved is not below base, whose paths are all absolute or known
	}
	flags := int64(oCreat | oTrunc)
	if c.Name != "creat" {
		if len(rest) == 0 {
			return errors.New("no flags")
		}
		if flags, err = number(rest[0]); err != nil {
			return err
		}
	}
	if flags&oDsync != 0 {
		return errors.New("O_SYNC and O_DSYNC are not modelled")
	}
	n := d.names[p]
	if n == nil {
		if flags&oCreat == 0 {
			return fmt.Errorf("%s was opened and never made", p)
		}
		return d.make(c, p, false)
	}
	if flags&oTrunc != 0 {
		did(&change{resize: true}, c, n)
	}
	return nil
}

func (d *Disk) make(c Call, p string, dir bool) error {
	e, err := d.entry(p)
	if err != nil {
		return err
	}
	e.to = &inode{dir: dir}
	d.names[p] = e.to
	d.gone[p] = e.to
	did(&change{add: []entry{e}}, c, e.in)
	return nil
}

func (d *Disk) mkdir(c Call) error {
	dir, name, _, err := nameArgs(c)
	if err != nil {
		return err
	}
	p, err := at(dir, name)
	if err != nil || !d.inside(p) {
		return err
	}
	return d.make(c, p, true)
}

func (d *Disk) write(c Call) error {
	n, err := d.file(c.Args[0])
	if err != nil || n == nil {
		return err
	}
	if c.Name == "write" {
		return errors.New("a write at the current position is followed only where it begins a file")
	}
	return d.put(c, n, c.Args[3])
}

func (d *Disk) put(c Call, n *inode, offset string) error {
	data, err := text(c.Args[1])
	if err != nil {
		return err
	}
	if c.Exit != Never {
		data = data[:min(int64(len(data)), c.Result)]
	}
	from, err := number(offset)
	if err != nil {
		return err
	}
	did(&change{offset: from, data: data}, c, n)
	return nil
}
