// Command strait-agent is what a device runs: it sends files with credentials
// that it asks for over MQTT, and finishes whatever happens. It holds no server
// code.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Upload      uploadCommand      `cmd:"" help:"Send files, or - for what comes in, to the place that the device may write to."`
	Watch       watchCommand       `cmd:"" help:"Send what is put into a directory, oldest first, and delete or move it when it is stored."`
	Credentials credentialsCommand `cmd:"" help:"Print credentials for AWS tools (credential_process)."`
	Run         runCommand         `cmd:"" help:"Watch directories as a service."`
}

// exit statuses.
const (
	failed = 1
	usage  = 2
)

// memory is where the garbage collector works harder: with the stacks and the
// code it makes less than 32 MiB.
const memory = 16 << 20

// A usageError is a mistake in how a command was called.
type usageError struct{ error }

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory)
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("strait-agent"), kong.Description("The device's side: ask for narrow credentials, send large files, whatever happens."), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(os.Stderr, "strait-agent:", err)
		return failed
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "strait-agent:", err)
		return usage
	}
	running, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(running, stop) // who asks twice will not wait
	ctx.BindTo(running, (*context.Context)(nil))
	if err := ctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "strait-agent:", err)
		var u usageError
		if errors.As(err, &u) {
			return usage
		}
		return failed
	}
	return 0
}
