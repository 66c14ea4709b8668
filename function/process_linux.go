package function

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const selfPath = "/proc/self/exe" // also when the file was replaced by an upgrade

// attributes: a session of its own (whose members are the environment), and
// death with the server.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when the process has ended, but leaves it to be waited
// for: until then its id, and so its session's, is nobody else's.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// killAll ends the session of leader and everything that descends from it
// and, when uid is not 0, everything with that uid. leader must not have been
// waited for.
func killAll(leader, uid int) {
	// Stopped, not killed: when the leader ends, who descends from it cannot
	// be told any more.
	unix.Kill(-leader, unix.SIGSTOP)
	for range 200 {
		members := members(leader, uid)
		if len(members) == 0 {
			return
		}
		for _, pid := range members {
			unix.Kill(pid, unix.SIGSTOP)
		}
		for _, pid := range members {
			unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond) // the kernel needs a moment to bury them
	}
}

// A process is what /proc/PID/stat and its owner say.
type process struct{ pid, parent, session, uid int }

// members lists the living processes of an environment.
func members(leader, uid int) []int { return membersOf(processes(), leader, uid) }

func membersOf(all []process, leader, uid int) []int {
	in := map[int]bool{leader: true}
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if !in[p.pid] && (p.session == leader || in[p.parent] || uid != 0 && p.uid == uid) {
				in[p.pid], grew = true, true
			}
		}
	}
	var pids []int
	for _, p := range all {
		if in[p.pid] {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// processes lists all processes but zombies.
func processes() []process {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue
		}
		// "pid (name) state ppid pgrp session ...", where the name may hold anything.
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 4 || f[0] == "Z" || f[0] == "X" {
			continue
		}
		p := process{pid: pid, uid: -1}
		p.parent, _ = strconv.Atoi(f[1])
		p.session, _ = strconv.Atoi(f[3])
		p.uid = realUID(name)
		all = append(all, p)
	}
	return all
}

// realUID reads the uid from status: the owner of /proc/PID is root for a
// process that made itself undumpable.
func realUID(pid string) int {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return -1
	}
	_, after, _ := strings.Cut(string(status), "\nUid:")
	var uid int
	if _, err := fmt.Sscan(after, &uid); err != nil {
		return -1
	}
	return uid
}

// checkPeer tells whether the other end of a loopback connection belongs to
// the environment: to uid, or when that is 0 to a process of leader's session.
func checkPeer(conn net.Conn, leader, uid int) error {
	remote, ok1 := conn.RemoteAddr().(*net.TCPAddr)
	local, ok2 := conn.LocalAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return errors.New("not TCP")
	}
	owner, inode, err := socketOf(remote, local)
	if err != nil {
		return err
	}
	if uid != 0 {
		if owner != uid {
			return fmt.Errorf("the socket belongs to uid %d", owner)
		}
		return nil
	}
	want := "socket:[" + inode + "]"
	for _, p := range processes() {
		if p.session == leader && holds(p.pid, want) {
			return nil
		}
	}
	return errors.New("no process of the function's session holds the socket")
}

func holds(pid int, socket string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, n := range names {
		if to, err := os.Readlink(dir + n); err == nil && to == socket {
			return true
		}
	}
	return false
}

// socketOf finds the connected socket whose own end is near and whose other
// end is far in the kernel's tables. Both are IPv4; the client may have used an
// IPv6 socket (Java does).
func socketOf(near, far *net.TCPAddr) (uid int, inode string, err error) {
	for file, write := range map[string]func(*net.TCPAddr) string{"/proc/self/net/tcp": hex4, "/proc/self/net/tcp6": hex6} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		wantNear, wantFar := write(near), write(far)
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			// sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode
			c := strings.Fields(lines.Text())
			// State 01 is ESTABLISHED; the later ones lose uid and inode.
			if len(c) >= 10 && c[1] == wantNear && c[2] == wantFar && c[3] == "01" && c[9] != "0" {
				f.Close()
				uid, err = strconv.Atoi(c[7])
				return uid, c[9], err
			}
		}
		f.Close()
	}
	return 0, "", errors.New("the kernel lists no such connection")
}

// hex4 writes an address as /proc/net/tcp does: the four bytes as one number
// in the machine's order (amd64 and arm64 are little-endian).
func hex4(a *net.TCPAddr) string {
	ip := a.IP.To4()
	if ip == nil {
		return "none"
	}
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
}

func hex6(a *net.TCPAddr) string { return "0000000000000000FFFF0000" + hex4(a) }
