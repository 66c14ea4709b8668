// Command strait gives devices credentials exactly as narrow as the one thing
// they are about to do, and serves AWS's protocols to hand them out and to
// enforce them. One file a command; this one only lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"strait/function"
	"strait/setup"
)

// commands is what a person can type.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Serve AWS IoT, STS, IAM, S3 and Lambda over one data directory."`
	Demo    demoCommand    `cmd:"" help:"Run both patterns in a private server, narrated."`
	Env     envCommand     `cmd:"" help:"Print export lines that point AWS tools at a server."`
	Setup   setupCommand   `cmd:"" help:"Set a pattern up, on Strait or on AWS."`
	Thing   thingCommand   `cmd:"" help:"Make things that can connect."`
	Pub     pubCommand     `cmd:"" help:"Publish a message by MQTT."`
	Sub     subCommand     `cmd:"" help:"Subscribe to a topic filter and print what comes."`
	Explain explainCommand `cmd:"" help:"Say why something was refused or allowed, or would be."`

	Decisions decisionsCommand `cmd:"" help:"Print the decision log."`
	Logs      logsCommand      `cmd:"" help:"Print what a function wrote."`
	Objects   objectsCommand   `cmd:"" help:"Check the object store of a stopped server."`
	Doctor    doctorCommand    `cmd:"" help:"Look for the broken link of a pattern, without a request."`
	Coverage  coverageCommand  `cmd:"" help:"Print which of AWS's operations are offered, and why others are not."`
	Policy    policyCommand    `cmd:"" help:"Judge policies, and suggest them."`
}

// exit statuses.
const (
	failed = 1
	usage  = 2
)

// A usageError is a mistake in how a command was called.
type usageError struct{ error }

func main() {
	// A function's process begins as this binary, confined, and becomes the
	// function's own program.
	function.MaybeSandboxMain()
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("strait"),
		kong.Description("Credentials as narrow as the one thing a device is about to do: handed out, enforced, explained."),
		kong.Vars{"thing_policy": setup.DefaultThingPolicy}, kong.UsageOnError(), kong.Exit(os.Exit))
	if err != nil {
		fmt.Fprintln(os.Stderr, "strait:", err)
		return failed
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "strait:", err)
		return usage
	}
	running, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx.BindTo(running, (*context.Context)(nil))
	if err := ctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "strait:", err)
		var u usageError
		if errors.As(err, &u) {
			return usage
		}
		return failed
	}
	return 0
}
