package setup

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"strait/vend"
)

// A zipped function: equal programs make equal zips, so that its hash tells
// whether Lambda has it.
type zipped struct {
	data    []byte
	machine types.Architecture
}

// maxVend is Lambda's limit for a zip that is sent directly.
const maxVend = 50 << 20

// zipOf zips the vending program: file, or the one built here.
func zipOf(ctx context.Context, file string) (zipped, error) {
	if file == "" {
		var err error
		if file, err = vendProgram(ctx); err != nil {
			return zipped{}, err
		}
	}
	program, err := os.ReadFile(file)
	if err != nil {
		return zipped{}, fmt.Errorf("read the vending program: %w", err)
	}
	machine, err := machineOf(program)
	if err != nil {
		return zipped{}, fmt.Errorf("%s is no program for Lambda: %w", file, err)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	// Fast: it is zipped anew in every run, to compare.
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, e := range []struct {
		name string
		mode os.FileMode
		data []byte
	}{{"bootstrap", 0o755, program}, {"strait-native", 0o644, []byte("vend " + vend.Version + "\n")}} {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		h.SetMode(e.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			return zipped{}, err
		}
		if _, err := w.Write(e.data); err != nil {
			return zipped{}, err
		}
	}
	if err := z.Close(); err != nil {
		return zipped{}, err
	}
	if b.Len() > maxVend {
		return zipped{}, fmt.Errorf("%s zips to %d bytes; Lambda takes %d", file, b.Len(), maxVend)
	}
	return zipped{b.Bytes(), machine}, nil
}

func machineOf(program []byte) (types.Architecture, error) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", errors.New("it is not built for Linux")
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return types.ArchitectureX8664, nil
	case elf.EM_AARCH64:
		return types.ArchitectureArm64, nil
	}
	return "", errors.New("Lambda runs x86-64 and 64-bit ARM only")
}

// vendProgram finds or builds cmd/strait-vend: beside this program, or from
// the sources that this program was built from, or that one stands in. A build
// is kept in the user's cache, under the hash of what it was made of.
func vendProgram(ctx context.Context) (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "strait-vend")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	root := sources()
	if root == "" {
		return "", errors.New("the sources of strait-vend are not here: run this inside them, or give the built program with --vend FILE")
	}
	gotool, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("Go is not on PATH, so strait-vend cannot be built: install Go, or give the built program with --vend FILE")
	}
	arch := runtime.GOARCH
	if arch != "arm64" {
		arch = "amd64"
	}
	key, err := sourceKey(ctx, gotool, root, arch)
	if err != nil {
		return "", err
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	built := filepath.Join(dir, "strait", "vend", key)
	if info, err := os.Stat(built); err == nil && info.Mode().IsRegular() {
		return built, nil
	}
	return built, build(ctx, gotool, root, arch, built)
}

// build links into a file of its own and renames it: two may build at once.
func build(ctx context.Context, gotool, root, arch, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(to), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	out := filepath.Join(work, "strait-vend")
	c := exec.CommandContext(ctx, gotool, "build", "-trimpath", "-buildvcs=false", "-tags=lambda.norpc", "-ldflags=-s -w", "-o", out, "./cmd/strait-vend")
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if said, err := c.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("build strait-vend: %w\n%s", err, bytes.TrimSpace(said))
	}
	return os.Rename(out, to)
}

// sources is the directory of the module, "" when it is not found.
func sources() string {
	var from []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		from = append(from, filepath.Dir(file))
	}
	if dir, err := os.Getwd(); err == nil {
		from = append(from, dir)
	}
	if self, err := os.Executable(); err == nil {
		from = append(from, filepath.Dir(self))
	}
	for _, dir := range from {
		for ; ; dir = filepath.Dir(dir) {
			mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && strings.HasPrefix(string(mod), "module strait\n") {
				return dir
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return ""
}

// vendSources is what of this module strait-vend is made of; a test compares
// it with what Go says.
var vendSources = []string{".", "vend", "cmd/strait-vend"}

// sourceKey is the hash of everything that a build depends on.
func sourceKey(ctx context.Context, gotool, root, arch string) (string, error) {
	c := exec.CommandContext(ctx, gotool, "env", "GOVERSION")
	c.Dir = root
	version, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("ask Go for its version: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", bytes.TrimSpace(version), arch)
	files := []string{filepath.Join(root, "go.mod"), filepath.Join(root, "go.sum")}
	for _, dir := range vendSources {
		found, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		rel, _ := filepath.Rel(root, name)
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", rel, sum.Sum(nil))
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}
