// Command strait-agent is what a device runs: it sends files with credentials
// that it asks for over MQTT. It holds no server code.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Upload uploadCommand `cmd:"" help:"Send files to the place that the device may write to."`
}

// exit statuses.
const (
	failed = 1
	usage  = 2
)

// A usageError is a mistake in how a command was called.
type usageError struct{ error }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("strait-agent"), kong.Description("The device's side: ask for narrow credentials, send large files."), kong.UsageOnError())
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
