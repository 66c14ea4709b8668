package function

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
)

// helperName is argv[0] of this binary when it is to confine a function.
const helperName = "strait-function-sandbox"

// Exit statuses of a helper that did not become a runtime.
const helperFailed = 125

// A confinement is what the helper is told (as JSON on descriptor 3). The
// function's variables travel in it too, never in the helper's own
// environment: LD_PRELOAD must not reach a process that still has rights.
type confinement struct {
	Path    string // the runtime's executable
	Args    []string
	Env     []string
	Dir     string // working directory: the code
	Scratch string // the only place to write to
	Switch  bool   // become UID and GID
	UID     int
	GID     int
	// Landlock is required when rights are not given up by a switch of uid.
	Landlock bool
	Trust    bool     // go on where confining fails
	Read     []string // further files and directories to read and execute
	Parent   int      // die when this process has died already
}

// A helperReport is what the helper says on descriptor 4 when it failed;
// nothing when it became the runtime.
type helperReport struct {
	Confining bool // false: the runtime's executable could not be started
	Message   string
}

// MaybeSandboxMain must be called first thing in main of every binary that
// opens an Engine (and in TestMain of its tests). When this process is the
// helper that confines a function, it becomes that function's runtime and
// does not return; otherwise it does nothing.
func MaybeSandboxMain() {
	if len(os.Args) != 1 || os.Args[0] != helperName {
		return
	}
	report := helperReport{Confining: true}
	in, out := os.NewFile(3, "confinement"), os.NewFile(4, "report")
	if in == nil || out == nil {
		os.Exit(helperFailed)
	}
	var c confinement
	data, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	in.Close()
	if err != nil {
		report.Message = "read the confinement: " + err.Error()
	} else {
		report.Confining, err = become(c)
		report.Message = err.Error() // become returns only when it failed
	}
	json.NewEncoder(out).Encode(report)
	os.Exit(helperFailed)
}

// readable are the places of a system that a runtime may read and execute.
// Nothing in them belongs to a user, and no secret of the system is in them.
func readable() []string {
	places := []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store",
		"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/crypto-policies",
		"/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf",
		"/etc/services", "/etc/protocols", "/etc/passwd", "/etc/group", "/etc/localtime", "/etc/timezone", "/etc/mime.types",
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/os-release",
		"/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version", "/proc/sys",
		"/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage",
	}
	python, _ := filepath.Glob("/etc/python3*") // Debian's sitecustomize
	return append(places, python...)
}
