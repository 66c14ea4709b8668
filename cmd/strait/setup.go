package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"strait/setup"
)

// setupCommand makes the patterns on any endpoint.
type setupCommand struct {
	Upload uploadCommand `cmd:"" help:"Everything for the upload of large data with credentials of a device's own. May be run again."`
	Topic  topicCommand  `cmd:"" help:"The role for connections that are narrowed to one topic. May be run again."`
}

type uploadCommand struct {
	Bucket         string   `required:"" help:"Bucket for the data; made when missing."`
	Thing          []string `help:"Thing that may ask for credentials; repeatable. None: all things."`
	Strict         bool     `help:"Credentials may only put objects, not abort their own multipart uploads."`
	TrustAccount   bool     `help:"The upload role trusts the account; otherwise the function's role alone."`
	Vend           string   `placeholder:"FILE" help:"Built cmd/strait-vend for Linux; otherwise it is built with Go." type:"existingfile"`
	DeviceEndpoint string   `placeholder:"URL" help:"Where devices find S3; default AWS_ENDPOINT_URL, on AWS none."`
	Function       string   `default:"create-token" help:"Name of the function."`
	FunctionRole   string   `default:"create-token" help:"Name of the function's role."`
	Role           string   `default:"s3-role" help:"Name of the role that may write to the bucket."`
	Rule           string   `default:"create_token" help:"Name of the topic rule."`
	ThingPolicy    string   `default:"${thing_policy}" help:"Name of the things' IoT policy."`
	DryRun         bool     `help:"Print the steps and their documents, change nothing."`
	JSON           bool     `name:"json" help:"Print the result as JSON."`
}

// Run is called by kong.
func (c *uploadCommand) Run(ctx context.Context) error {
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	out, err := setup.Upload(ctx, s, setup.UploadInput{
		Bucket: c.Bucket, Things: c.Thing, Strict: c.Strict, TrustAccount: c.TrustAccount, VendFile: c.Vend, Endpoint: c.DeviceEndpoint,
		FunctionName: c.Function, FunctionRole: c.FunctionRole, UploadRole: c.Role, RuleName: c.Rule, ThingPolicy: c.ThingPolicy,
		DryRun: c.DryRun, Log: steps(c.JSON),
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(out)
	}
	conclude(c.DryRun, out.Changed)
	if len(c.Thing) == 0 && !c.DryRun {
		fmt.Println("Next, a device:  strait thing create device00 --out certs")
	}
	return nil
}

// steps prints each step of a set-up as it is done; for JSON, to stderr.
func steps(toStderr bool) func(step, detail string) {
	to := os.Stdout
	if toStderr {
		to = os.Stderr
	}
	begin := time.Now()
	return func(step, detail string) {
		detail = strings.ReplaceAll(detail, "\n", "\n"+strings.Repeat(" ", 24))
		fmt.Fprintf(to, "%6.2fs  %-14s  %s\n", time.Since(begin).Seconds(), step, detail)
	}
}

func conclude(dry bool, changed []string) {
	switch {
	case len(changed) == 0:
		fmt.Println("Nothing had to be changed.")
	case dry:
		fmt.Printf("A dry run: nothing was changed, %d changes would be made.\n", len(changed))
	default:
		fmt.Printf("Done, %d changes.\n", len(changed))
	}
}

type topicCommand struct {
	Topic  string `required:"" help:"The topic that a connection may use; not a filter."`
	Role   string `default:"sts-sample-role" help:"Name of the role."`
	Trust  string `placeholder:"ARN" help:"Who may assume the role; default the caller's account."`
	DryRun bool   `help:"Print the steps and their documents, change nothing."`
	JSON   bool   `name:"json" help:"Print the result as JSON."`
}

// Run is called by kong.
func (c *topicCommand) Run(ctx context.Context) error {
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	out, err := setup.Topic(ctx, s, setup.TopicInput{Topic: c.Topic, Role: c.Role, TrustPrincipal: c.Trust, DryRun: c.DryRun, Log: steps(c.JSON)})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(out)
	}
	conclude(c.DryRun, out.Changed)
	fmt.Printf("\nThe session policy for %s:\n\n%s\n\nTake credentials narrowed by it:\n\n%s\n", c.Topic, out.SessionPolicy, out.Command)
	return nil
}
