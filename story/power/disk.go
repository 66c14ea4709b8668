package power

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// A Disk is the history of one directory as a trace tells it.
type Disk struct {
	base  string // what lies outside is not looked at
	root  *inode // base itself, which is there from the beginning
	names map[string]*inode
	files map[string]*opened // by descriptor's number
}

// An opened file has a position, which write moves.
type opened struct {
	file     *inode
	position int64
	append   bool
}

// An inode is a file or a directory, whatever its name is just now.
type inode struct {
	dir     bool
	length  int64     // as the server sees it
	changes []*change // as they ended
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
	return &Disk{base: base, root: root, names: map[string]*inode{base: root}, files: map[string]*opened{}}
}

// Flags of open, fallocate, mmap and friends on Linux.
const (
	oCreat, oTrunc, oAppend, oDsync = 0x40, 0x200, 0x400, 0x1000
	punchHole, keepSize             = 2, 1
	mapShared, protWrite            = 1, 2
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
	case "write", "pwrite64": // with a position, or at it
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
	case "lseek":
		err = d.seek(c)
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
		if strings.HasPrefix(arg, `"`) && strings.HasPrefix(c.Name, "symlink") {
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

// file returns what a descriptor leads to; nil for what is outside. The number
// decides, not the path: a rename may have come between.
func (d *Disk) file(arg string) (*opened, error) {
	f, err := describe(arg)
	if err != nil || !d.inside(f.path) {
		return nil, err
	}
	number, _, _ := strings.Cut(arg, "<")
	if o := d.files[number]; o != nil {
		return o, nil
	}
	return nil, fmt.Errorf("%s was never opened", f.path)
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

// path resolves the name that c begins with.
func (d *Disk) path(c Call) (string, error) {
	args := c.Args
	if !strings.HasSuffix(c.Name, "at") || c.Name == "creat" {
		args = append([]string{""}, args...)
	}
	if len(args) < 2 {
		return "", errors.New("too few arguments")
	}
	return at(args[0], args[1])
}

func (d *Disk) entry(p string) (entry, error) {
	parent := d.names[path.Dir(p)]
	if parent == nil {
		return entry{}, fmt.Errorf("nothing is known of %s", path.Dir(p))
	}
	return entry{in: parent, name: path.Base(p), to: d.names[p]}, nil
}

func (d *Disk) open(c Call) error {
	p, err := d.path(c)
	if err != nil || !d.inside(p) {
		return err
	}
	flags := int64(oCreat | oTrunc)
	if c.Name != "creat" {
		i := 1
		if c.Name == "openat" {
			i = 2
		}
		if len(c.Args) <= i {
			return errors.New("no flags")
		}
		if flags, err = number(c.Args[i]); err != nil {
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
		if n, err = d.make(c, p, false); err != nil {
			return err
		}
	} else if flags&oTrunc != 0 {
		n.did(&change{resize: true}, c)
	}
	d.files[strconv.FormatInt(c.Result, 10)] = &opened{file: n, append: flags&oAppend != 0}
	return nil
}

func (d *Disk) make(c Call, p string, dir bool) (*inode, error) {
	e, err := d.entry(p)
	if err != nil {
		return nil, err
	}
	e.to = &inode{dir: dir}
	d.names[p] = e.to
	e.in.did(&change{add: []entry{e}}, c)
	return e.to, nil
}

func (d *Disk) mkdir(c Call) error {
	p, err := d.path(c)
	if err != nil || !d.inside(p) {
		return err
	}
	_, err = d.make(c, p, true)
	return err
}

// write is write and pwrite64.
func (d *Disk) write(c Call) error {
	if len(c.Args) < 3 {
		return errors.New("too few arguments")
	}
	o, err := d.file(c.Args[0])
	if err != nil || o == nil {
		return err
	}
	data, err := text(c.Args[1])
	if err != nil {
		return err
	}
	if c.Exit != Never {
		data = data[:min(int64(len(data)), c.Result)]
	}
	at := o.position
	switch {
	case o.append:
		at = o.file.length
	case c.Name == "pwrite64" && len(c.Args) == 4:
		if at, err = number(c.Args[3]); err != nil {
			return err
		}
	}
	if c.Name == "write" {
		o.position = at + int64(len(data))
	}
	o.file.did(&change{offset: at, data: data}, c)
	return nil
}

func (d *Disk) seek(c Call) error {
	o, err := d.file(c.Args[0])
	if err == nil && o != nil {
		o.position = c.Result
	}
	return err
}

func (d *Disk) sync(c Call) error {
	o, err := d.file(c.Args[0])
	if err == nil && o != nil && c.Exit != Never {
		o.file.syncs = append(o.file.syncs, span{c.Enter, c.Exit})
	}
	return err
}

// resize is ftruncate and fallocate.
func (d *Disk) resize(c Call) error {
	o, err := d.file(c.Args[0])
	if err != nil || o == nil {
		return err
	}
	var n [3]int64
	for i := range min(len(n), len(c.Args)-1) {
		if n[i], err = number(c.Args[i+1]); err != nil {
			return err
		}
	}
	switch mode, from, long := n[0], n[1], n[2]; {
	case c.Name == "ftruncate":
		o.file.did(&change{resize: true, size: n[0]}, c)
	case mode == punchHole|keepSize:
		o.file.did(&change{offset: from, hole: min(long, o.file.length-from)}, c)
	case mode == 0:
		o.file.did(&change{resize: true, size: max(o.file.length, from+long)}, c)
	default:
		return errors.New("this mode is not modelled")
	}
	return nil
}

func (d *Disk) truncate(c Call) error {
	p, err := d.path(c)
	if err != nil || !d.inside(p) {
		return err
	}
	size, err := number(c.Args[1])
	n := d.names[p]
	if err != nil || n == nil {
		return fmt.Errorf("truncated %s, which is not there", p)
	}
	n.did(&change{resize: true, size: size}, c)
	return nil
}

func (d *Disk) rename(c Call) error {
	return d.move(c, true)
}

func (d *Disk) link(c Call) error {
	return d.move(c, false)
}

// move gives a file a second name, and takes the first.
func (d *Disk) move(c Call, take bool) error {
	args := c.Args
	if !strings.HasSuffix(c.Name, "at") && !strings.HasSuffix(c.Name, "at2") {
		args = []string{"", args[0], "", args[1]}
	}
	if len(args) < 4 {
		return errors.New("too few arguments")
	}
	from, err := at(args[0], args[1])
	if err != nil {
		return err
	}
	to, err := at(args[2], args[3])
	if err != nil {
		return err
	}
	if !d.inside(from) && !d.inside(to) {
		return nil
	}
	a, err := d.entry(from)
	if err != nil {
		return err
	}
	b, err := d.entry(to)
	if err != nil {
		return err
	}
	if a.to == nil || a.to.dir {
		return fmt.Errorf("%s is no file: not modelled", from)
	}
	b.to = a.to
	d.names[to] = a.to
	ch := &change{add: []entry{b}}
	if take {
		delete(d.names, from)
		ch.remove = []entry{a}
	}
	b.in.did(ch, c)
	if take && a.in != b.in {
		a.in.did(ch, c)
	}
	return nil
}

func (d *Disk) unlink(c Call) error {
	p, err := d.path(c)
	if err != nil || !d.inside(p) {
		return err
	}
	e, err := d.entry(p)
	if err != nil {
		return err
	}
	delete(d.names, p)
	e.in.did(&change{remove: []entry{e}}, c)
	return nil
}

// mmap: what is written through memory is not seen. SQLite's index of the log
// (-shm) is written so; it is rebuilt after a crash and never counted on.
func (d *Disk) mmap(c Call) error {
	if len(c.Args) < 5 {
		return errors.New("too few arguments")
	}
	f, err := describe(c.Args[4])
	if err != nil || !d.inside(f.path) || strings.HasSuffix(f.path, "-shm") {
		return err
	}
	protection, err := number(c.Args[2])
	if err != nil {
		return err
	}
	flags, err := number(c.Args[3])
	if err != nil {
		return err
	}
	if flags&mapShared != 0 && protection&protWrite != 0 {
		return fmt.Errorf("%s is written through memory: not modelled", f.path)
	}
	return nil
}

// did remembers a change to n, or to names in n.
func (n *inode) did(ch *change, c Call) {
	ch.span = span{c.Enter, c.Exit}
	ch.in = append(ch.in, n)
	n.changes = append(n.changes, ch)
	if ch.resize {
		n.length = ch.size
	} else {
		n.length = max(n.length, ch.offset+int64(len(ch.data)))
	}
}
