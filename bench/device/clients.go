package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"strait/bench/house"
)

// A place is where clients send to, and with what keys.
type place struct {
	*house.House
	keys aws.Credentials
	dir  string
}

func (p *place) url(scheme string) string {
	if scheme == "https" {
		return "https://" + p.HTTPS[0]
	}
	return "http://" + p.HTTP[0]
}

// env is what AWS's tools read; nothing of the caller's own settings.
func (p *place) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "AWS_ACCESS_KEY_ID=" + p.keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + p.keys.SecretAccessKey,
		"AWS_REGION=" + p.Region, "AWS_DEFAULT_REGION=" + p.Region, "AWS_EC2_METADATA_DISABLED=true",
	}
}

// A client is one program that uploads the file as an object of its own name.
type client struct {
	name, version string
	place         place
	command       func(url string) []string
	env           []string
}

func (c *client) upload(ctx context.Context, scheme string) (cost, error) {
	args := c.command(c.place.url(scheme))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(c.place.env(), c.env...)
	begin := time.Now()
	said, err := cmd.CombinedOutput()
	if err != nil {
		return cost{}, fmt.Errorf("%w\n%s", err, said)
	}
	return cost{time.Since(begin), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

const botoScript = `
import boto3, sys
boto3.client("s3", endpoint_url=sys.argv[1]).upload_file(sys.argv[2], sys.argv[3], sys.argv[4])
`

// found are the clients that are here, the agent first.
func found(ctx context.Context, agent, file string, p place) ([]*client, error) {
	ca := "AWS_CA_BUNDLE=" + p.CA
	clients := []*client{{"strait-agent", "this tree", p, func(url string) []string {
		return []string{agent, "upload", file, "--from", "environment", "--bucket", bucket, "--object-key", "strait-agent", "--s3-endpoint", url, "--json"}
	}, []string{ca}}}
	missing := func(name string, err error) {
		fmt.Printf("LEFT OUT: %s is not here (%v)\n", name, err)
	}
	if program, version, err := look(ctx, "aws", "--version"); err != nil {
		missing("the AWS CLI", err)
	} else {
		clients = append(clients, &client{"aws s3 cp", version, p, func(url string) []string {
			return []string{program, "s3", "cp", file, "s3://" + bucket + "/aws s3 cp", "--endpoint-url", url, "--no-progress"}
		}, []string{ca}})
	}
	if program, version, err := look(ctx, "python3", "-c", "import boto3; print('boto3', boto3.__version__)"); err != nil {
		missing("boto3", err)
	} else {
		clients = append(clients, &client{"boto3", version, p, func(url string) []string {
			return []string{program, "-c", botoScript, url, file, bucket, "boto3"}
		}, []string{ca}})
	}
	if program, version, err := look(ctx, "rclone", "version"); err != nil {
		missing("rclone", err)
	} else {
		clients = append(clients, &client{"rclone", version, p, func(url string) []string {
			return []string{program, "copyto", file, ":s3:" + bucket + "/rclone", "--s3-provider", "Other", "--s3-endpoint", url, "--s3-env-auth", "--s3-region", p.Region,
				"--s3-force-path-style", "--s3-no-check-bucket", "--ca-cert", p.CA, "--config", filepath.Join(p.dir, "rclone.conf"), "--retries", "1"}
		}, nil}) // its SDK cannot read AWS_CA_BUNDLE
	}
	if len(clients) == 1 {
		return nil, errors.New("there is nothing to compare with")
	}
	return clients, nil
}

// look finds a program and what it says of itself. Where a version manager puts
// a script before it, the program itself is run: the script would be counted.
func look(ctx context.Context, name string, args ...string) (program, version string, err error) {
	if program, err = exec.LookPath(name); err != nil {
		return "", "", err
	}
	if strings.Contains(program, "/shims/") {
		if out, err := exec.CommandContext(ctx, "pyenv", "which", name).Output(); err == nil {
			program = strings.TrimSpace(string(out))
		}
	}
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "", "", err
	}
	version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return program, version, nil
}

func contains(list, word string) bool { return slices.Contains(strings.Split(list, ","), word) }
