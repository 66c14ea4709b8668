// Probe is a function for tests: it does what its event says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"golang.org/x/sys/unix"
)

type event struct {
	Do   string
	Args []string
	Size int
}

var calls int

func main() {
	switch os.Getenv("PROBE_INIT") {
	case "exit":
		os.Exit(3)
	case "sleep":
		time.Sleep(time.Hour)
	case "error":
		resp, err := http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime/init/error", "application/json", strings.NewReader(`{"errorType":"Init.Bad","errorMessage":"no"}`))
		fmt.Println(resp, err)
		os.Exit(1)
	case "grow":
		grow(500)
		time.Sleep(time.Hour)
	}
	lambda.Start(handle)
}

var held [][]byte

// grow takes memory, and writes to it so that it is really taken.
func grow(mb int) {
	for range mb {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 1024 {
			b[i] = 1
		}
		held = append(held, b)
	}
}

// file takes memory that is in no address space.
func file(mb int) error {
	fd, err := unix.MemfdCreate("held", 0)
	if err != nil {
		return err
	}
	for range mb {
		if _, err := unix.Write(fd, make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	return nil
}

func handle(ctx context.Context, e event) (any, error) {
	calls++
	switch e.Do {
	case "echo":
		return e.Args, nil
	case "calls":
		return calls, nil
	case "error":
		return nil, errors.New("as told")
	case "exit":
		os.Exit(7)
	case "panic":
		panic("as told")
	case "sleep":
		d, _ := time.ParseDuration(e.Args[0])
		time.Sleep(d)
		return "slept", nil
	case "size":
		return strings.Repeat("x", e.Size), nil
	case "print":
		for _, a := range e.Args {
			fmt.Println(a)
		}
		fmt.Print("no newline")
		return nil, nil
	case "env":
		return os.Environ(), nil
	case "grow":
		grow(e.Size)
		time.Sleep(duration(e.Args))
		return len(held), nil
	case "file":
		err := file(e.Size)
		time.Sleep(duration(e.Args))
		return nil, err
	case "reserve":
		// Address space alone is no memory.
		_, err := unix.Mmap(-1, 0, 16<<30, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		return nil, err
	case "id":
		lc, _ := lambdacontext.FromContext(ctx)
		return map[string]any{"uid": os.Getuid(), "gid": os.Getgid(), "pid": os.Getpid(), "request": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "groups": groups()}, nil
	case "attack":
		found := map[string]string{}
		for _, a := range e.Args {
			how, what, _ := strings.Cut(a, " ")
			found[a] = attack(how, what)
		}
		return found, nil
	case "append":
		f, err := os.OpenFile(e.Args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		_, err = f.WriteString(e.Args[1])
		return nil, err
	case "linger":
		cmd := exec.Command("/bin/sh", "-c", "sleep 1000 & exec sleep 1000")
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		own := exec.Command("/bin/sleep", "1000")
		own.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := own.Start(); err != nil {
			return nil, err
		}
		return []int{cmd.Process.Pid, own.Process.Pid}, nil
	}
	return nil, errors.New("do what?")
}

func duration(args []string) time.Duration {
	if len(args) == 0 {
		return 0
	}
	d, _ := time.ParseDuration(args[0])
	return d
}

func groups() []int {
	g, _ := os.Getgroups()
	return g
}

// attack returns "" when it failed, as it should, or what it got.
func attack(how, what string) string {
	switch how {
	case "read":
		f, err := os.Open(what)
		if err != nil {
			return ""
		}
		defer f.Close()
		b := make([]byte, 64)
		n, err := f.Read(b)
		if err != nil && err != io.EOF {
			return ""
		}
		return fmt.Sprintf("read %d bytes", n)
	case "list":
		names, err := os.ReadDir(what)
		if err != nil {
			return ""
		}
		return fmt.Sprint(len(names), " names")
	case "write":
		if err := os.WriteFile(what, []byte("x"), 0o600); err != nil {
			return ""
		}
		return "written"
	case "get":
		c := http.Client{Timeout: 2 * time.Second}
		r, err := c.Get(what)
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return "it waits for an event"
			}
			return ""
		}
		return r.Status
	case "unix":
		c, err := net.Dial("unix", what)
		if err != nil {
			return ""
		}
		c.Close()
		return "connected"
	case "kill":
		var pid int
		fmt.Sscan(what, &pid)
		if syscall.Kill(pid, 0) != nil {
			return ""
		}
		return "may signal"
	case "trace":
		var pid int
		fmt.Sscan(what, &pid)
		if syscall.PtraceAttach(pid) != nil {
			return ""
		}
		return "traced"
	case "root":
		if syscall.Setuid(0) != nil || os.Getuid() != 0 {
			return ""
		}
		return "root"
	}
	return "what attack?"
}
