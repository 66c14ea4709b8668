package function

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become confines the calling process as c says and executes its runtime. It
// returns only on failure; confining tells whether that was before the exec.
//
// Everything here works on the calling thread alone (raw calls where Go would
// change all threads): on execve the other threads vanish, and the caller's
// rights are those of the new program.
func become(c confinement) (confining bool, err error) {
	runtime.LockOSThread()
	if err := confine(c); err != nil {
		return true, err
	}
	if err := unix.Chdir(c.Dir); err != nil {
		return true, fmt.Errorf("enter the code directory: %w", err)
	}
	// Descriptor 4 closes itself on exec: that is how success is told.
	unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC)
	unix.CloseOnExec(4)
	return false, fmt.Errorf("exec %s: %w", c.Path, execute(c))
}

// execute returns only on failure. A program that was unzipped a moment ago may
// be open for writing still, in a process that the server forked meanwhile for
// another function and that has not come to its own exec: that passes.
func execute(c confinement) (err error) {
	const look, looks = 5 * time.Millisecond, 1000
	for range looks {
		if err = syscall.Exec(c.Path, c.Args, c.Env); !errors.Is(err, unix.ETXTBSY) {
			break
		}
		pause := unix.NsecToTimespec(look.Nanoseconds())
		_ = unix.Nanosleep(&pause, nil)
	}
	return err
}

func confine(c confinement) error {
	// 1. What needs rights: mounts, limits, and opening the places to allow.
	if c.Switch {
		bindScratch(c)
	}
	unix.Umask(0o077)
	if err := limits(c.Switch); err != nil && !c.Trust {
		return fmt.Errorf("set limits: %w", err)
	}
	rules := -1
	if c.Landlock {
		fd, err := landlockRules(c)
		if err != nil && !c.Trust && !c.Switch {
			return fmt.Errorf("landlock: %w", err)
		}
		rules = fd
	}
	// 2. Give up rights, for good.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	dropBounding()
	if c.Switch {
		if err := switchUser(c.UID, c.GID); err != nil {
			return err
		}
	}
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	// 3. Close the doors that are left.
	if rules >= 0 {
		if _, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(rules), 0, 0); e != 0 {
			return fmt.Errorf("landlock: restrict: %w", e)
		}
		unix.Close(rules)
	}
	if err := filterCalls(!c.Switch); err != nil && !c.Trust {
		return fmt.Errorf("seccomp: %w", err)
	}
	// A change of uid clears it, so it is set last; and the server may have
	// died before it was set.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("parent death signal: %w", err)
	}
	if unix.Getppid() != c.Parent {
		return errors.New("the server has gone")
	}
	return nil
}

// bindScratch makes the scratch directory appear as /tmp, for code that has
// the path written in it, as on AWS. Where mounting is not allowed, TMPDIR
// must do.
func bindScratch(c confinement) {
	for _, p := range append([]string{c.Dir, c.Scratch, c.Path}, c.Read...) {
		if strings.HasPrefix(p, "/tmp/") {
			return // would be hidden
		}
	}
	if unix.Unshare(unix.CLONE_NEWNS) != nil {
		return
	}
	if unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "") != nil {
		return
	}
	unix.Mount(c.Scratch, "/tmp", "", unix.MS_BIND, "")
}

func limits(ownUser bool) error {
	set := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 1024, unix.RLIMIT_FSIZE: 512 << 20}
	if ownUser {
		// Counted by uid: with the server's uid it would count strangers.
		set[unix.RLIMIT_NPROC] = 1024
	}
	for what, n := range set {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(what, &now); err != nil {
			return err
		}
		n = min(n, now.Max)
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	return nil
}

func switchUser(uid, gid int) error {
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
		return fmt.Errorf("setgroups: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); e != 0 {
		return fmt.Errorf("setresgid: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
		return fmt.Errorf("setresuid: %w", e)
	}
	return nil
}

// dropBounding is the second lock: with no_new_privs nothing regains rights.
func dropBounding() {
	for c := uintptr(0); c < 64; c++ {
		if unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
			return
		}
	}
}

func dropCapabilities() error {
	unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&head, &none[0])
}

// --- Landlock

// landlockABI is the version that the kernel offers, 0 for none.
func landlockABI() int {
	n, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(n)
}

const (
	landlockRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_EXECUTE
	landlockFiles = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// landlockRules makes the rule set of c: what is not named in it is refused.
func landlockRules(c confinement) (int, error) {
	abi := landlockABI()
	if abi < 1 {
		return -1, errors.New("the kernel does not offer it")
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: 1<<13 - 1}
	if abi >= 2 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 5 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	// 24 bytes: the fields that are in every kernel's struct or zero beyond it.
	fd, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), 24, 0)
	if e != 0 {
		return -1, e
	}
	all := attr.Handled_access_fs
	allow := func(path string, access uint64, required bool) error {
		err := landlockAllow(int(fd), path, access&all)
		if err != nil && required {
			unix.Close(int(fd))
			return fmt.Errorf("allow %s: %w", path, err)
		}
		return nil
	}
	// Its own entry in /proc; those of its children are not readable, which
	// no runtime we know needs.
	own := []string{"/proc/" + strconv.Itoa(os.Getpid())}
	for _, p := range append(append(own, readable()...), c.Read...) {
		allow(p, landlockRead, false)
	}
	const device = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	for _, p := range []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"} {
		allow(p, device, false)
	}
	if err := allow(c.Dir, landlockRead, true); err != nil {
		return -1, err
	}
	if err := allow(c.Scratch, all, true); err != nil {
		return -1, err
	}
	return int(fd), nil
}

func landlockAllow(rules int, path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= landlockFiles
	}
	// The kernel's struct is packed: 8 bytes and 4; Go's has the same offsets.
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, e := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// --- system calls

// filterCalls refuses calls that no function needs: looking into others,
// io_uring (which would pass by this filter), namespaces, keys; and, where the
// uid is shared, UNIX sockets, behind which the user's own services listen.
func filterCalls(sharedUser bool) error {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if arch == 0 {
		return errors.New("not offered on this processor")
	}
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		atMost = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K

		allowed = 0x7fff0000 // SECCOMP_RET_ALLOW
		failed  = 0x00050000 // SECCOMP_RET_ERRNO
	)
	f := []unix.SockFilter{
		{Code: load, K: 4}, // seccomp_data.arch
		{Code: equal, K: arch, Jt: 1},
		{Code: answer, K: failed | uint32(unix.ENOSYS)},
		{Code: load, K: 0}, // seccomp_data.nr
		{Code: atMost, K: 0x40000000, Jf: 1},
		{Code: answer, K: failed | uint32(unix.ENOSYS)}, // x32
	}
	refuse := func(nr uint32, e unix.Errno) {
		f = append(f, unix.SockFilter{Code: equal, K: nr, Jf: 1}, unix.SockFilter{Code: answer, K: failed | uint32(e)})
	}
	for _, nr := range []uint32{unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP,
		unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_PIVOT_ROOT, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN,
		unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY} {
		refuse(nr, unix.EPERM)
	}
	refuse(unix.SYS_IO_URING_SETUP, unix.ENOSYS)
	if sharedUser {
		f = append(f,
			unix.SockFilter{Code: equal, K: unix.SYS_SOCKET, Jf: 3},
			unix.SockFilter{Code: load, K: 16}, // the low half of its first argument
			unix.SockFilter{Code: equal, K: unix.AF_UNIX, Jf: 1},
			unix.SockFilter{Code: answer, K: failed | uint32(unix.EACCES)})
	}
	f = append(f, unix.SockFilter{Code: answer, K: allowed})
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	_, _, e := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0, 0)
	runtime.KeepAlive(f)
	if e != 0 {
		return e
	}
	return nil
}
