package function

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How often a warden looks at what processes take. Between two looks a process
// can take more than it may; what it takes by then it has for this long.
const (
	lookBusy = 25 * time.Millisecond  // while anything runs
	lookIdle = 250 * time.Millisecond // while environments wait for events
	scanEach = 10                     // looks: then children are looked for, too
)

// A warden keeps environments to their MemorySize. Where the host lets it make
// cgroups (v2, with the memory controller delegated) the kernel does it;
// otherwise the warden looks at the processes of each environment, again and
// again, and ends those that took more.
type warden struct {
	log    *slog.Logger
	groups *groups       // nil: processes are watched
	poke   chan struct{} // something has begun to run

	mu     sync.Mutex
	meters map[*meter]bool // of living processes that are watched
}

func newWarden(log *slog.Logger) *warden {
	return &warden{log: log, groups: findGroups(log), poke: make(chan struct{}, 1), meters: map[*meter]bool{}}
}

func (w *warden) String() string {
	if w.groups != nil {
		return "cgroup v2 (" + w.groups.dir + ")"
	}
	return "watched: processes are looked at every " + lookBusy.String() + ", for no cgroup v2 is delegated to this server"
}

// meter makes what an environment of so many bytes is started with.
func (w *warden) meter(limit int64) (*meter, error) {
	m := &meter{warden: w, limit: limit}
	if w.groups == nil {
		return m, nil
	}
	var err error
	m.group, err = w.groups.make(limit)
	return m, err
}

// look makes a warden that watches look soon.
func (w *warden) look() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// run watches until ctx ends.
func (w *warden) run(ctx context.Context) {
	timer := time.NewTimer(lookIdle)
	defer timer.Stop()
	for n, often := 0, false; ; {
		select {
		case <-ctx.Done():
			return
		case <-w.poke:
			if !often {
				often = true
				timer.Reset(lookBusy)
			}
			continue
		case <-timer.C:
		}
		all, busy := w.watched()
		if often = busy; len(all) == 0 {
			continue // until something is started
		}
		w.round(all, n%scanEach == 0)
		n++
		if often {
			timer.Reset(lookBusy)
		} else {
			timer.Reset(lookIdle)
		}
	}
}

func (w *warden) watched() (all []*meter, busy bool) {
	w.mu.Lock()
	for m := range w.meters {
		all = append(all, m)
	}
	w.mu.Unlock()
	for _, m := range all {
		busy = busy || m.busy()
	}
	return all, busy
}

// round looks at each environment once; scan also looks who belongs to it.
func (w *warden) round(all []*meter, scan bool) {
	if scan {
		everybody := processes()
		for _, m := range all {
			m.scan(everybody)
		}
	}
	for _, m := range all {
		if w.judge(m) {
			w.log.Info("a function took more memory than it has", "pid", m.pid, "took", m.peak.Load(), "limit", m.limit)
			go m.end()
		}
	}
}

// judge holds the lock, so that the process is not buried meanwhile: then its
// id might be another's.
func (w *warden) judge(m *meter) (end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.meters[m] || m.over.Load() {
		return false
	}
	took := m.weigh()
	m.note(took)
	m.over.Store(took > m.limit)
	return took > m.limit
}

// A meter knows how much memory one environment takes: the anonymous and
// shared memory and the swap of its processes. The pages of programs and
// libraries, which everybody shares and the kernel takes back at need, are not counted.
type meter struct {
	warden *warden
	limit  int64
	group  *group // nil: watched
	pid    int
	uid    int
	busy   func() bool
	end    func()
	over   atomic.Bool
	dead   atomic.Bool
	peak   atomic.Int64

	mu     sync.Mutex
	pids   []int // the others of the environment, as of the last scan
	hidden int64 // in files of memory
}

// attach says where the process is to be started; done is called afterwards.
func (m *meter) attach(a *syscall.SysProcAttr) (done func(), err error) {
	if m.group == nil {
		return func() {}, nil
	}
	dir, err := os.Open(m.group.dir)
	if err != nil {
		return nil, fmt.Errorf("open a cgroup: %w", err)
	}
	a.UseCgroupFD, a.CgroupFD = true, int(dir.Fd())
	return func() { dir.Close() }, nil
}

// started tells of the process: leader of a session, with a uid of its own when that
// is not 0. busy tells whether it is at work; end ends it and is called at most once.
func (m *meter) started(pid, uid int, busy func() bool, end func()) {
	m.pid, m.uid, m.busy, m.end = pid, uid, busy, end
	if m.group != nil {
		return
	}
	m.warden.mu.Lock()
	m.warden.meters[m] = true
	m.warden.mu.Unlock()
	m.warden.look()
}

// ended is called when the process is dead and its id not yet another's.
func (m *meter) ended() {
	m.warden.mu.Lock()
	delete(m.warden.meters, m)
	m.warden.mu.Unlock()
	m.dead.Store(true)
	if m.group != nil {
		m.note(min(m.group.peak(), m.limit))
		m.over.Store(m.group.killed())
	}
}

func (m *meter) exceeded() bool { return m.over.Load() }

func (m *meter) close() {
	if m.group != nil {
		m.group.remove()
	}
}

func (m *meter) note(took int64) {
	for now := m.peak.Load(); took > now && !m.peak.CompareAndSwap(now, took); now = m.peak.Load() {
	}
}

// used is the most that was taken so far; of a dead process what was seen before.
func (m *meter) used() int64 {
	switch {
	case m.dead.Load():
	case m.group != nil:
		m.note(min(m.group.peak(), m.limit))
	case m.pid != 0:
		m.note(m.weigh())
		if s, ok := statusOf(m.pid); ok {
			m.note(s["VmHWM"] - s["RssFile"]) // between two looks
		}
	}
	return m.peak.Load()
}

// scan finds out who belongs to the environment, and what it holds in files
// of memory that are mapped nowhere.
func (m *meter) scan(everybody []process) {
	var pids []int
	var files int64
	seen := map[uint64]bool{}
	for _, pid := range membersOf(everybody, m.pid, m.uid) {
		files += memoryFiles(pid, seen)
		if pid != m.pid {
			pids = append(pids, pid)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pids, m.hidden = pids, files
}

// weigh counts what the environment takes now. It is cheap while that is far from the limit.
func (m *meter) weigh() int64 {
	m.mu.Lock()
	pids, files := append([]int{m.pid}, m.pids...), m.hidden
	m.mu.Unlock()
	var resident, own int64
	for _, pid := range pids {
		r, o := statmOf(pid)
		resident, own = resident+r, own+o
	}
	if 2*(resident+files) < m.limit {
		return own
	}
	var sum, shared int64
	for _, pid := range pids {
		s, _ := statusOf(pid)
		sum, shared = sum+s["RssAnon"]+s["VmSwap"], shared+s["RssShmem"]
	}
	sum += max(shared, files)
	if sum <= m.limit || len(pids) == 1 {
		return sum
	}
	// Children share what their parent had: each page is to be counted once.
	var exact int64
	for _, pid := range pids {
		s, _ := fieldsOf(pid, "smaps_rollup")
		if len(s) == 0 { // it is ending, or we may not look
			s, _ = statusOf(pid)
		}
		exact += s["Pss_Anon"] + s["Pss_Shmem"] + s["SwapPss"] + s["RssAnon"] + s["RssShmem"] + s["VmSwap"]
	}
	return exact + max(0, files-shared)
}

// statmOf is what a process has in memory, and how much of that is its own.
func statmOf(pid int) (resident, own int64) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, 0
	}
	var size, res, shared int64
	if _, err := fmt.Sscan(string(data), &size, &res, &shared); err != nil {
		return 0, 0
	}
	page := int64(os.Getpagesize())
	return res * page, (res - shared) * page
}

func statusOf(pid int) (map[string]int64, bool) { return fieldsOf(pid, "status") }

// fieldsOf reads the sizes in a file of /proc/PID, in bytes.
func fieldsOf(pid int, file string) (map[string]int64, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
	if err != nil {
		return nil, false
	}
	sizes := map[string]int64{}
	for line := range bytes.Lines(data) {
		name, rest, ok := strings.Cut(string(line), ":")
		if f := strings.Fields(rest); ok && len(f) == 2 && f[1] == "kB" {
			n, _ := strconv.ParseInt(f[0], 10, 64)
			sizes[name] = n << 10
		}
	}
	return sizes, true
}

// memoryFiles counts what pid holds in open files that lie in memory and that
// are not in seen.
func memoryFiles(pid int, seen map[uint64]bool) int64 {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	d, err := os.Open(dir)
	if err != nil {
		return 0
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	var sum int64
	for _, n := range names {
		if to, err := os.Readlink(dir + n); err != nil || !strings.HasPrefix(to, "/memfd:") && !strings.HasPrefix(to, "/dev/shm/") {
			continue
		}
		st, err := os.Stat(dir + n)
		if err != nil {
			continue
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && !seen[sys.Ino] {
			seen[sys.Ino] = true
			sum += sys.Blocks * 512
		}
	}
	return sum
}
