package function

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Uids for environments: far from people's and from the usual subordinate
// ranges (/etc/subuid), below 2^31. Each engine takes a block at random that no
// other engine on this host has: all processes of a uid are killed together.
const (
	firstUID  = 2_000_000_000
	blockUIDs = 4096
	blocks    = 30_000
)

// A confiner knows what this process can do to confine another, and hands out
// uids and gids.
type confiner struct {
	switchUser bool
	landlock   bool

	mu    sync.Mutex
	claim int // a socket that says whose block this is; -1: none
	base  int
	next  int
	used  map[int]bool
}

// newConfiner finds out what is possible here, and makes this process
// undumpable, so that nobody with its uid can read its memory.
func newConfiner() *confiner {
	c := &confiner{landlock: landlockABI() >= 1, claim: -1, used: map[int]bool{}}
	for may, tries := maySwitch(), 0; may && c.claim < 0 && tries < 100; tries++ {
		var b [4]byte
		rand.Read(b[:])
		c.base = firstUID + int(binary.BigEndian.Uint32(b[:])%blocks)*blockUIDs
		c.claim = claimBlock(c.base)
	}
	c.switchUser = c.claim >= 0 && mapped("/proc/self/uid_map", c.base) && mapped("/proc/self/gid_map", c.base)
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	return c
}

// claimBlock returns a socket that holds the block's name until it is closed, by
// the end of the process at the latest; -1 when another one has it.
func claimBlock(base int) int {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	if unix.Bind(s, &unix.SockaddrUnix{Name: fmt.Sprintf("@strait-functions/%d", base)}) != nil {
		unix.Close(s)
		return -1
	}
	return s
}

// close gives the block back.
func (c *confiner) close() {
	if c.claim >= 0 {
		unix.Close(c.claim)
		c.claim = -1
	}
}

// possible tells whether a process can be kept from the server and others.
func (c *confiner) possible() bool { return c.switchUser || c.landlock }

func maySwitch() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if unix.Capget(&head, &have[0]) != nil {
		return false
	}
	// Code and scratch are given to others with chown, and their processes killed.
	for _, need := range []uint{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN, unix.CAP_KILL, unix.CAP_DAC_OVERRIDE} {
		if have[0].Effective&(1<<need) == 0 {
			return false
		}
	}
	return true
}

// mapped tells whether the whole block of ids exists in this user namespace.
func mapped(file string, base int) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		var in, out, n int64
		if _, err := fmt.Sscan(line, &in, &out, &n); err == nil && in <= int64(base) && int64(base+blockUIDs) <= in+n {
			return true
		}
	}
	return false
}

// id hands out a number that is no uid or gid of this engine now; ok is false
// when all are taken.
func (c *confiner) id() (id int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range blockUIDs {
		id := c.base + c.next
		c.next = (c.next + 1) % blockUIDs
		if !c.used[id] {
			c.used[id] = true
			return id, true
		}
	}
	return 0, false
}

func (c *confiner) release(id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.used, id)
}
