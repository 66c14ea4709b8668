package function

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"strait"
)

//go:embed boot
var bootFiles embed.FS

var (
	pythonRuntime = regexp.MustCompile(`^python3\.[0-9]{1,2}$`)
	nodeRuntime   = regexp.MustCompile(`^nodejs[0-9]{1,2}\.x$`)
)

func checkRuntime(name string) error {
	if isProvided(name) || pythonRuntime.MatchString(name) || nodeRuntime.MatchString(name) {
		return nil
	}
	return strait.Errorf(strait.Invalid, "runtime", "the runtime %.64q is not offered: use provided.al2023, provided.al2, python3.N or nodejsN.x", name)
}

func isProvided(name string) bool { return name == "provided.al2023" || name == "provided.al2" }

// writeBoot puts our bootstraps below dir, for every function to read.
func writeBoot(dir string) error {
	return fs.WalkDir(bootFiles, "boot", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(p))
		if d.IsDir() {
			// Mkdir's mode is cut by the umask, which may be 077.
			return errors.Join(os.Mkdir(to, 0o755), os.Chmod(to, 0o755))
		}
		data, err := bootFiles.ReadFile(p)
		if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(to, data, 0o444), os.Chmod(to, 0o444))
	})
}

// A command is how a runtime is started.
type command struct {
	path string
	args []string
	read []string // what the interpreter needs to read besides the system
}

// interpreters finds Python and Node once and remembers them.
type interpreters struct {
	boot   string // our bootstraps
	others bool   // must be usable by other uids than the server's

	mu    sync.Mutex
	found map[string]command
}

// command returns how to start f's runtime with its code in dir.
func (i *interpreters) command(ctx context.Context, runtime, dir string) (command, error) {
	if isProvided(runtime) {
		file := filepath.Join(dir, "bootstrap")
		return command{path: file, args: []string{file}}, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if c, ok := i.found[runtime]; ok {
		return c, nil
	}
	// Runtimes may be looked up as a side effect of an invocation whose
	// caller leaves; the answer is for everybody.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	find := i.python
	if nodeRuntime.MatchString(runtime) {
		find = i.node
	}
	c, err := find(ctx, runtime)
	if err == nil {
		if i.found == nil {
			i.found = map[string]command{}
		}
		i.found[runtime] = c
	}
	return c, err
}

const askPython = `import sys, json, importlib.util as u
print(json.dumps({"exe": sys.executable, "read": sorted({sys.prefix, sys.base_prefix, sys.exec_prefix}),
"version": "%d.%d" % sys.version_info[:2], "boto3": u.find_spec("boto3") is not None}))`

// python chooses: one that can import boto3, as functions expect; then one of
// the wished version; then the first on PATH. Shims (pyenv) are asked for the
// real thing, because they need a home directory to work.
func (i *interpreters) python(ctx context.Context, runtime string) (command, error) {
	wish := strings.TrimPrefix(runtime, "python")
	best, bestScore := command{}, -1
	for _, file := range onPath("python"+wish, "python3") {
		out, err := ask(ctx, file, "-s", "-c", askPython)
		var said struct {
			Exe, Version string
			Read         []string
			Boto3        bool
		}
		if err != nil || json.Unmarshal(out, &said) != nil || said.Exe == "" {
			continue
		}
		score := 0
		if said.Boto3 {
			score += 2
		}
		if said.Version == wish {
			score++
		}
		if score <= bestScore || i.others && !openToAll(said.Exe) {
			continue
		}
		// -s: no site-packages of a user. -u is not set: the bootstrap flushes.
		best, bestScore = command{said.Exe, []string{said.Exe, "-s", filepath.Join(i.boot, "bootstrap.py")}, said.Read}, score
	}
	if bestScore < 0 {
		return command{}, strait.Errorf(strait.Unsupported, "runtime", "%s: there is no python3 on this server that a function may use", runtime)
	}
	best.read = append(best.read, i.boot)
	return best, nil
}

func (i *interpreters) node(ctx context.Context, runtime string) (command, error) {
	for _, file := range onPath("node") {
		out, err := ask(ctx, file, "-p", "process.execPath")
		exe := strings.TrimSpace(string(out))
		if err != nil || exe == "" || i.others && !openToAll(exe) {
			continue
		}
		prefix := filepath.Dir(filepath.Dir(exe)) // PREFIX/bin/node, PREFIX/lib/node_modules
		return command{exe, []string{exe, filepath.Join(i.boot, "bootstrap.mjs")}, []string{exe, filepath.Join(prefix, "lib"), i.boot}}, nil
	}
	return command{}, strait.Errorf(strait.Unsupported, "runtime", "%s: there is no node on this server that a function may use", runtime)
}

// onPath lists the executables of these names, by PATH and then the usual places.
func onPath(names ...string) []string {
	var files []string
	seen := map[string]bool{}
	dirs := append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/bin", "/usr/bin")
	for _, name := range names {
		for _, dir := range dirs {
			file := filepath.Join(dir, name)
			if !filepath.IsAbs(file) || seen[file] {
				continue
			}
			seen[file] = true
			if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
				files = append(files, file)
			}
		}
	}
	return files
}

// ask runs an interpreter of the host's (not of a function's) with the
// server's own rights, before any function's code is near.
func ask(ctx context.Context, file string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", file, err)
	}
	return out, nil
}

// openToAll tells whether every uid may execute file.
func openToAll(file string) bool {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return false
	}
	for _, p := range []string{file, real} {
		if st, err := os.Stat(p); err != nil || st.Mode()&0o005 != 0o005 {
			return false
		}
		for d := filepath.Dir(p); ; d = filepath.Dir(d) {
			if st, err := os.Stat(d); err != nil || st.Mode()&0o001 == 0 {
				return false
			}
			if d == filepath.Dir(d) {
				break
			}
		}
	}
	return true
}
