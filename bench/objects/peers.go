package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"strait/bench/house"
)

// A peer is a running S3 server.
type peer struct {
	name     string
	endpoint string
	region   string
	keys     aws.Credentials
	pid      int
	stop     func() error
	client   *client

	rounds []result
	memory map[string]int // at the end, KiB
}

// open starts all servers that o asks for. Those returned are running, even
// with an error.
func open(ctx context.Context, dir, bin string, o options) (peers []*peer, err error) {
	binaries := strings.Split(o.server, ",")
	if o.server == "" {
		binary, err := house.Build(ctx, bin, "strait")
		if err != nil {
			return nil, err
		}
		binaries = []string{binary}
	}
	for i, binary := range binaries {
		name := "strait"
		if len(binaries) > 1 {
			name = filepath.Base(binary)
		}
		p, err := startStrait(ctx, name, binary, filepath.Join(dir, fmt.Sprint("strait", i)))
		if err != nil {
			return peers, err
		}
		peers = append(peers, p)
	}
	if o.versitygw != "-" {
		p, err := startVersity(ctx, o.versitygw, dir, bin)
		if err != nil {
			return peers, err
		}
		peers = append(peers, p)
	}
	if o.minio {
		p, err := startMinIO(ctx, dir, bin)
		if err != nil {
			return peers, err
		}
		peers = append(peers, p)
	}
	for _, p := range peers {
		p.client = newClient(p, o)
		if err := p.client.do(ctx, request{method: "PUT", path: "/bench"}, nil); err != nil {
			return peers, fmt.Errorf("%s: create a bucket: %w", p.name, err)
		}
	}
	return peers, nil
}

func (p *peer) remember() (err error) {
	p.memory, err = house.Memory(p.pid)
	return err
}

func startStrait(ctx context.Context, name, binary, data string) (*peer, error) {
	h, err := house.Start(ctx, binary, data)
	if err != nil {
		return nil, err
	}
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(h.Region), config.WithSharedConfigProfile("default"),
		config.WithSharedConfigFiles([]string{h.Credentials}), config.WithSharedCredentialsFiles([]string{h.Credentials}))
	if err == nil {
		var keys aws.Credentials
		if keys, err = c.Credentials.Retrieve(ctx); err == nil {
			return &peer{name: name, endpoint: "http://" + h.HTTP[0], region: h.Region, keys: keys, pid: h.PID, stop: h.Stop}, nil
		}
	}
	return nil, errors.Join(err, h.Stop())
}

func startVersity(ctx context.Context, binary, dir, bin string) (*peer, error) {
	if binary == "" {
		binary = filepath.Join(bin, "versitygw")
		if err := build(ctx, "versitygw", "github.com/versity/versitygw/cmd/versitygw", binary); err != nil {
			return nil, err
		}
	}
	root := filepath.Join(dir, "versitygw")
	if err := os.Mkdir(root, 0o700); err != nil {
		return nil, err
	}
	return launch(ctx, "versitygw", func(keys aws.Credentials, address string) *exec.Cmd {
		// Connections are kept, as everybody's clients want; nothing is printed.
		c := exec.Command(binary, "--port", address, "--region", "us-east-1", "--keep-alive", "--quiet", "posix", root)
		c.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+keys.AccessKeyID, "ROOT_SECRET_ACCESS_KEY="+keys.SecretAccessKey)
		return c
	})
}

func startMinIO(ctx context.Context, dir, bin string) (*peer, error) {
	binary := filepath.Join(bin, "minio")
	if err := build(ctx, "minio", "github.com/minio/minio", binary); err != nil {
		return nil, err
	}
	return launch(ctx, "minio", func(keys aws.Credentials, address string) *exec.Cmd {
		c := exec.Command(binary, "server", "--quiet", "--address", address, filepath.Join(dir, "minio"))
		c.Env = append(os.Environ(), "MINIO_ROOT_USER="+keys.AccessKeyID, "MINIO_ROOT_PASSWORD="+keys.SecretAccessKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off")
		return c
	})
}

// build builds a peer from a module of its own.
func build(ctx context.Context, module, pkg, out string) error {
	c := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	c.Dir = filepath.Join("objects", "peers", module)
	if said, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s (run this in the folder bench): %w\n%s", module, err, said)
	}
	return nil
}

// launch starts a server on a free port of this machine and waits until it
// answers.
func launch(ctx context.Context, name string, command func(aws.Credentials, string) *exec.Cmd) (*peer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	l.Close()
	var secret [20]byte
	rand.Read(secret[:])
	p := &peer{name: name, endpoint: "http://" + address, region: "us-east-1",
		keys: aws.Credentials{AccessKeyID: "bench", SecretAccessKey: hex.EncodeToString(secret[:])}}
	c := command(p.keys, address)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	p.pid = c.Process.Pid
	p.stop = func() error {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		c.Wait() // how it ends is its own affair
		return nil
	}
	for end := time.Now().Add(30 * time.Second); ; {
		r, err := http.Get(p.endpoint)
		if err == nil {
			r.Body.Close()
			if r.StatusCode < 500 {
				return p, nil
			}
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("%s does not answer: %v", name, err), p.stop())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func machine() string { return house.Machine() }
