package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait/device"
	"strait/setup"
)

// An uploadPattern is what the first pattern leaves for later acts.
type uploadPattern struct {
	thing  setup.ThingResult
	device *device.Client
	creds  aws.Credentials // narrowed to the thing's prefix
	key    string
	file   string
	sum    string // SHA-256 of the file
}

func (u *uploadPattern) close() {
	if u.device != nil {
		u.device.Close()
		u.device = nil
	}
}

// uploadActs plays the first pattern.
func (d *demo) uploadActs(ctx context.Context) error {
	d.tell.title("Large-data upload: a certificate in, narrow credentials out, a large file through")
	for _, act := range []struct {
		what string
		do   func(context.Context) (string, error)
	}{
		{"set the pattern up: bucket, roles, function, permission, topic rule", d.setUpUpload},
		{"make thing " + demoThing + ": certificate, key, policy", d.makeThing},
		{"the device connects by MQTT with mutual TLS", d.connectDevice},
		{"it asks on " + demoThing + "/token/req and gets credentials on " + demoThing + "/token/res", d.askCredentials},
		{"make a file of " + bytesOf(d.size), d.makeFile},
		{"the device uploads it straight to object storage", d.uploadFile},
		{"an operator downloads it and compares SHA-256", d.compare},
	} {
		if err := d.tell.step(act.what, func() (string, error) { return act.do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) setUpUpload(ctx context.Context) (string, error) {
	r, err := setup.Upload(ctx, d.admin, setup.UploadInput{Bucket: demoBucket, Things: []string{demoThing}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s takes %s,\nnarrowed to %s/%s/*; %d things made through AWS's public APIs", r.FunctionRole, r.UploadRole, demoBucket, demoThing, len(r.Changed)), nil
}

func (d *demo) makeThing(ctx context.Context) (_ string, err error) {
	d.up.thing, err = setup.Thing(ctx, d.admin, demoThing, filepath.Join(d.dir, demoThing))
	return d.up.thing.Certificate, err
}

func (d *demo) connectDevice(ctx context.Context) (_ string, err error) {
	endpoint := "localhost" + d.server.Ready().MQTT[0][len("127.0.0.1"):]
	d.up.device, err = device.Connect(ctx, device.Config{
		Endpoint: endpoint, Thing: demoThing, CertFile: d.up.thing.Certificate, KeyFile: d.up.thing.Key, CAFile: d.server.Ready().CA, Now: d.now,
	})
	return endpoint, err
}

func (d *demo) askCredentials(ctx context.Context) (string, error) {
	c, err := d.up.device.Credentials(device.CredentialsOptions{}).Grant(ctx)
	if err != nil {
		return "", err
	}
	d.up.creds = aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
	return fmt.Sprintf("%s, for %s/%s, until %s", c.AccessKeyID, c.Bucket, c.Prefix, c.Expiration.Local().Format("15:04:05")), nil
}

// makeFile writes random bytes: what compresses or repeats would prove less.
func (d *demo) makeFile(ctx context.Context) (string, error) {
	d.up.key, d.up.file = "big.bin", filepath.Join(d.dir, "big.bin")
	f, err := os.Create(d.up.file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	if _, err := io.CopyN(w, rand.NewChaCha8([32]byte{1}), d.size); err != nil {
		return "", err
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return "", err
	}
	d.up.sum = hex.EncodeToString(sum.Sum(nil))
	return "sha256 " + d.up.sum, ctx.Err()
}

func (d *demo) uploadFile(ctx context.Context) (string, error) {
	start := time.Now()
	var last atomic.Int64
	out, err := d.up.device.Upload(ctx, device.UploadInput{
		File: d.up.file, Key: d.up.key, ContentType: "application/octet-stream",
		Progress: func(done, total int64) {
			// A few times a second is enough for a person.
			if now := time.Now().UnixMilli(); done == total || now-last.Load() > 100 {
				last.Store(now)
				d.tell.progress("uploading", done, total, start)
			}
		},
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("s3://%s/%s, etag %s, %s/s", out.Bucket, out.Key, out.ETag, bytesOf(int64(float64(d.size)/time.Since(start).Seconds()))), nil
}

// compare reads the object with the operator's credentials: the device's do
// not let it.
func (d *demo) compare(ctx context.Context) (string, error) {
	out, err := d.admin.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(demoBucket), Key: aws.String(demoThing + "/" + d.up.key)})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	start := time.Now()
	sum := sha256.New()
	if _, err := io.Copy(sum, &counted{r: out.Body, seen: func(n int64) { d.tell.progress("comparing", n, d.size, start) }}); err != nil {
		return "", err
	}
	if got := hexOf(sum); got != d.up.sum {
		return "", fmt.Errorf("the object is another: sha256 %s, want %s", got, d.up.sum)
	}
	return "the same, byte for byte", os.Remove(d.up.file)
}

func hexOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// counted tells now and then how much has been read.
type counted struct {
	r       io.Reader
	n, told int64
	seen    func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.n-c.told > 8<<20 || err != nil {
		c.told = c.n
		c.seen(c.n)
	}
	return n, err
}
