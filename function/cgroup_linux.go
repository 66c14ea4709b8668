package function

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// serverGroup is where the server itself goes: a group that hands controllers
// to others may hold no processes.
const serverGroup = "strait-server"

const maxProcesses = 1024 // of one environment, where the kernel counts

// groups makes cgroups (version 2) for environments, below the server's own.
type groups struct{ dir string }

// findGroups returns nil where the host gives this process no cgroup of its
// own; it then changes nothing.
func findGroups(log *slog.Logger) *groups {
	dir, err := ownGroup()
	if err != nil {
		log.Debug("no cgroups for functions", "why", err)
		return nil
	}
	if filepath.Base(dir) == serverGroup {
		dir = filepath.Dir(dir) // an earlier engine of this process has been here
	}
	g := &groups{dir}
	if err := g.prepare(); err != nil {
		log.Debug("no cgroups for functions", "group", dir, "why", err)
		return nil
	}
	if err := g.try(); err != nil {
		log.Warn("cgroups for functions do not work here", "group", dir, "error", err)
		return nil
	}
	return g
}

// ownGroup finds the directory of this process's cgroup.
func ownGroup() (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	path, found := "", false
	for line := range strings.Lines(string(own)) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			path, found = strings.TrimSpace(rest), true
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || !found {
		return "", errors.Join(err, errors.New("there is no cgroup v2"))
	}
	for line := range strings.Lines(string(mounts)) {
		// id parent device root mountpoint options ... - type source options
		f := strings.Fields(line)
		if len(f) < 10 || !strings.Contains(line, " - cgroup2 ") {
			continue
		}
		dir := filepath.Join(f[4], strings.TrimPrefix(path, strings.TrimSuffix(f[3], "/")))
		if holdsProcess(dir, os.Getpid()) {
			return dir, nil
		}
	}
	return "", errors.New("the cgroup of this process is mounted nowhere")
}

func pidsIn(dir string) []string {
	data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	return strings.Fields(string(data))
}

func holdsProcess(dir string, pid int) bool {
	for _, p := range pidsIn(dir) {
		if p == strconv.Itoa(pid) {
			return true
		}
	}
	return false
}

// prepare makes g ready to have groups with a limit below it.
func (g *groups) prepare() error {
	if !hasControllers(g.dir, "cgroup.controllers") {
		return errors.New("the memory controller is not given to it")
	}
	if err := delegated(g.dir); err != nil {
		return err
	}
	if hasControllers(g.dir, "cgroup.subtree_control") {
		return nil
	}
	// Only what is alone in its group may empty it.
	pid := strconv.Itoa(os.Getpid())
	for _, p := range pidsIn(g.dir) {
		if p != pid {
			return fmt.Errorf("process %s is in it, too", p)
		}
	}
	leaf := filepath.Join(g.dir, serverGroup)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := write(leaf, "cgroup.procs", pid); err != nil {
		return err
	}
	if err := write(g.dir, "cgroup.subtree_control", "+memory +pids"); err != nil {
		return errors.Join(err, write(g.dir, "cgroup.procs", pid), os.Remove(leaf))
	}
	return nil
}

// delegated tells whether dir is ours to arrange. systemd marks what it gives
// away, and arranges the rest as it likes.
func delegated(dir string) error {
	if !isDir("/run/systemd/system") {
		return unix.Access(dir, unix.W_OK)
	}
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		var value [8]byte
		if n, err := unix.Getxattr(dir, name, value[:]); err == nil && string(value[:n]) == "1" {
			return nil
		}
	}
	return errors.New("systemd did not delegate it (Delegate=memory pids)")
}

func hasControllers(dir, file string) bool {
	data, _ := os.ReadFile(filepath.Join(dir, file))
	have := map[string]bool{}
	for _, name := range strings.Fields(string(data)) {
		have[name] = true
	}
	return have["memory"] && have["pids"]
}

// try starts a process in a group, to learn now whether that works: this
// binary as a helper that is told nothing, and ends at once.
func (g *groups) try() error {
	one, err := g.make(64 << 20)
	if err != nil {
		return err
	}
	defer one.remove()
	dir, err := os.Open(one.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	cmd := &exec.Cmd{Path: selfPath, Args: []string{helperName}, Dir: "/", Env: []string{},
		SysProcAttr: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}}
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != helperFailed {
		return fmt.Errorf("start a process in a cgroup: %v", err)
	}
	return nil
}

// make makes a group whose processes have so many bytes and no swap; when it
// has not enough, all of them end.
func (g *groups) make(limit int64) (*group, error) {
	dir := filepath.Join(g.dir, "strait-function-"+newID())
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	one := &group{dir}
	err := errors.Join(
		write(dir, "memory.max", strconv.FormatInt(limit, 10)),
		write(dir, "memory.oom.group", "1"),
		write(dir, "pids.max", strconv.Itoa(maxProcesses)))
	if err == nil {
		if err = write(dir, "memory.swap.max", "0"); errors.Is(err, os.ErrNotExist) {
			err = nil // there is no swap
		}
	}
	if err != nil {
		one.remove()
		return nil, fmt.Errorf("limit a cgroup: %w", err)
	}
	return one, nil
}

// A group is the cgroup of one environment.
type group struct{ dir string }

// peak is the most that was taken, caches of files included.
func (g *group) peak() int64 {
	for _, file := range []string{"memory.peak", "memory.current"} { // the first since Linux 5.19
		if data, err := os.ReadFile(filepath.Join(g.dir, file)); err == nil {
			n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
			return n
		}
	}
	return 0
}

// killed tells whether the kernel ended it for want of memory.
func (g *group) killed() bool {
	data, _ := os.ReadFile(filepath.Join(g.dir, "memory.events"))
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" {
			return f[1] != "0"
		}
	}
	return false
}

// remove ends what is left in it. The kernel needs a moment until it is empty.
func (g *group) remove() {
	for range 100 {
		write(g.dir, "cgroup.kill", "1")
		if err := os.Remove(g.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
