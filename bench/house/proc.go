package house

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: USER_HZ, which is 100 on every Linux
// that Go runs on.
const tick = 10 * time.Millisecond

// CPU is what the server's process has used so far, and what the processes of
// its functions have (those alive, and those that were waited for).
func (h *House) CPU() (server, functions time.Duration, err error) { return CPU(h.cmd.Process.Pid) }

// CPU is what a process has used so far, and what those have that it started.
func CPU(process int) (own, children time.Duration, err error) {
	own, reaped, err := times(process)
	if err != nil {
		return 0, 0, err
	}
	functions := reaped
	for _, pid := range descendants(process) {
		if t, r, err := times(pid); err == nil { // it may have ended just now
			functions += t + r
		}
	}
	return own, functions, nil
}

// times reads fields 14 to 17 of /proc/PID/stat; the command's name before
// them is in parentheses and may hold anything.
func times(pid int) (own, reaped time.Duration, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var n [4]int64
	for i := range n {
		if n[i], err = strconv.ParseInt(f[11+i], 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return time.Duration(n[0]+n[1]) * tick, time.Duration(n[2]+n[3]) * tick, nil
}

func descendants(pid int) []int {
	var out []int
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, s := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(s); err == nil {
				out = append(out, child)
				out = append(out, descendants(child)...)
			}
		}
	}
	return out
}

// Memory is fields of /proc/PID/status in KiB, such as VmRSS and RssAnon.
func (h *House) Memory() (map[string]int, error) { return Memory(h.cmd.Process.Pid) }

// Memory is the same for any process.
func Memory(pid int) (map[string]int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		if n, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB"); ok {
			out[name], _ = strconv.Atoi(n)
		}
	}
	return out, nil
}

// Machine is one line on where the numbers come from.
func Machine() string {
	model := "unknown CPU"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%d cores of %s, %s, load %s; only ratios within this run mean something",
		runtime.NumCPU(), model, runtime.Version(), strings.Join(strings.Fields(string(load) + " ? ? ?")[:3], " "))
}

// Running is the processor time that the threads of a process have used, to
// the nanosecond; threads that have ended are not in it.
func Running(pid int) (sum time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(b)); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64)
			sum += time.Duration(n)
		}
	}
	return sum
}

// Resident is what a process holds of the machine's memory, in KiB.
func Resident(pid int) (int, error) {
	m, err := Memory(pid)
	return m["VmRSS"], err
}
