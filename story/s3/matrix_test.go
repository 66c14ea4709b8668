package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait/server"
)

// files are what every client sends: around the sizes at which clients change
// from one request to parts, and from one part to several.
var files = map[string]int{"empty": 0, "one": 1, "below": 5<<20 - 1, "part": 5 << 20, "above": 8<<20 + 1, "large": 20 << 20}

// A program is a client that is no Go library. run sends all files to
// CLIENT/NAME, and the largest as a stream of unknown length to CLIENT/stream.
type program struct {
	name  string
	probe []string // prints its version, or fails
	run   func(h *house, endpoint, bucket, dir string)
	// leaves are the files that it does not bring back and compare; none: all.
	leaves []string
}

var programs = []program{
	{"boto3", []string{"/usr/bin/python3", "-c", "import boto3; print('boto3', boto3.__version__)"}, func(h *house, endpoint, bucket, dir string) {
		command(h, nil, "/usr/bin/python3", "testdata/matrix.py", endpoint, bucket, dir)
	}, []string{"stream"}},
	{"node", []string{"sh", "-c", `cd node && node -e "console.log('client-s3', require('@aws-sdk/client-s3/package.json').version, require('@aws-sdk/lib-storage/package.json').version, process.version)"`},
		func(h *house, endpoint, bucket, dir string) {
			command(h, nil, "node", "testdata/matrix.js", endpoint, bucket, dir)
		}, []string{"stream"}},
	{"aws", []string{"/usr/bin/aws", "--version"}, awsCLI, []string{"stream"}},
	{"rclone", []string{"rclone", "version"}, rclone, []string{"stream"}},
	{"s3cmd", []string{"s3cmd", "--version"}, s3cmd, []string{"stream"}},
}

// TestMatrix: every client, over http and https, with every size: what went up
// is what is there and what comes back, and what is refused is told in the
// client's own words.
func TestMatrix(t *testing.T) {
	h := raise(t)
	matrix(h, files, h.http, h.https)
}

// TestMatrixFar is the same over TLS with objects that are kept in another
// store, and smaller files: around the sizes at which a body is no more held
// back whole, and sent in parts.
func TestMatrixFar(t *testing.T) {
	theirs := raise(t)
	id, secret := theirs.keys()
	ours := raiseWith(t, server.Config{Data: t.TempDir(), Objects: "s3://?endpoint=" + theirs.http + "&region=" + theirs.ready.Region,
		ObjectKeys: static(aws.Credentials{AccessKeyID: id, SecretAccessKey: secret})})
	matrix(ours, map[string]int{"empty": 0, "one": 1, "below": 256<<10 - 1, "part": 256 << 10, "above": 5<<20 + 1, "large": 8<<20 + 1}, ours.https)
}

func matrix(h *house, files map[string]int, endpoints ...string) {
	t := h.t
	h.files = files
	modules, err := filepath.Abs("node/node_modules")
	h.must(err)
	t.Setenv("NODE_PATH", modules)
	dir := t.TempDir()
	sums := map[string][32]byte{}
	for name, size := range files {
		b := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(size)}).Read(b)
		sums[name] = sha256.Sum256(b)
		h.must(os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	sums["stream"] = sums["large"]
	for _, endpoint := range endpoints {
		scheme, _, _ := strings.Cut(endpoint, ":")
		c := h.client(endpoint)
		b := h.bucket(c, "matrix-"+scheme)
		_, err := c.PutBucketPolicy(h.ctx, &s3.PutBucketPolicyInput{Bucket: &b, Policy: ptr(`{"Version": "2012-10-17", "Statement": [{"Effect": "Deny",
			"Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::` + b + `/denied/*"}]}`)})
		h.must(err)
		// Clients that bring files back compare them themselves; what they do not
		// bring back is looked at here, without TLS, which costs less.
		plain := h.client(h.http)
		check := func(h *house, client string, names ...string) {
			for name, want := range sums {
				if len(names) > 0 && !slices.Contains(names, name) {
					continue
				}
				key := client + "/" + name
				out, err := plain.GetObject(h.ctx, &s3.GetObjectInput{Bucket: &b, Key: &key})
				if err != nil {
					h.t.Errorf("%s: %v", key, err)
					continue
				}
				sum := sha256.New()
				_, err = io.Copy(sum, out.Body)
				out.Body.Close()
				if err != nil || [32]byte(sum.Sum(nil)) != want {
					h.t.Errorf("%s is not what was sent (%v)", key, err)
				}
			}
		}
		t.Run("go/"+scheme, func(t *testing.T) {
			in := *h
			in.t = t
			goPlain(&in, c, scheme, b, dir)
			check(&in, "go")
		})
		t.Run("transfermanager/"+scheme, func(t *testing.T) {
			in := *h
			in.t = t
			goManager(&in, c, b, dir)
			check(&in, "transfermanager", "stream")
		})
		for _, p := range programs {
			t.Run(p.name+"/"+scheme, func(t *testing.T) {
				in := *h
				in.t = t
				p.here(t)
				p.run(&in, endpoint, b, dir)
				check(&in, p.name, p.leaves...)
			})
		}
	}
}

// here skips a story whose client is missing, loudly; where CI is true it fails.
func (p program) here(t *testing.T) {
	t.Helper()
	out, err := exec.Command(p.probe[0], p.probe[1:]...).CombinedOutput()
	version := strings.Join(strings.Fields(string(out)), " ")
	if err == nil {
		t.Logf("%.100s", version)
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("the client %s is missing: %v: %s", p.name, err, version)
	}
	fmt.Fprintf(os.Stderr, "\nLEFT OUT: the S3 client %s, which is not here (%v)\n\n", p.name, err)
	t.SkipNow()
}

// command runs a client and fails when it does.
func command(h *house, stdin io.Reader, name string, args ...string) {
	h.t.Helper()
	if out, err := try(h, stdin, name, args...); err != nil {
		h.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// patience is how long a client may take.
const patience = 2 * time.Minute

func try(h *house, stdin io.Reader, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// fails runs a client that must fail and say so.
func fails(h *house, say, name string, args ...string) {
	h.t.Helper()
	if out, err := try(h, nil, name, args...); err == nil || !strings.Contains(out, say) {
		h.t.Errorf("%s %s: got %v\n%s\nwant a failure that says %s", name, strings.Join(args, " "), err, out, say)
	}
}

// large is the large file as a stream whose length a client cannot know.
func large(h *house, dir string) io.Reader {
	f, err := os.Open(filepath.Join(dir, "large"))
	h.must(err)
	h.t.Cleanup(func() { f.Close() })
	return struct{ io.Reader }{f}
}

// same compares a folder that came back with what was sent.
func same(h *house, dir, got string) {
	h.t.Helper()
	for name := range h.files {
		a, err := os.ReadFile(filepath.Join(dir, name))
		h.must(err)
		if b, err := os.ReadFile(filepath.Join(got, name)); err != nil || !bytes.Equal(a, b) {
			h.t.Errorf("%s came back changed (%v)", name, err)
		}
	}
}

func goPlain(h *house, c *s3.Client, scheme, bucket, dir string) {
	for name := range h.files {
		f, err := os.Open(filepath.Join(dir, name))
		h.must(err)
		_, err = c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &bucket, Key: ptr("go/" + name), Body: f})
		h.must(err)
		h.must(f.Close())
	}
	body := large(h, dir)
	if scheme == "http" { // the SDK itself refuses a stream without TLS
		b, err := io.ReadAll(body)
		h.must(err)
		body = bytes.NewReader(b)
	}
	_, err := c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &bucket, Key: ptr("go/stream"), Body: body, ContentLength: ptr(int64(h.files["large"]))})
	h.must(err)
	for range 3 {
		_, err = c.PutObject(h.ctx, &s3.PutObjectInput{Bucket: &bucket, Key: ptr("denied/x"), Body: bytes.NewReader(make([]byte, 20<<20))})
		refused(h.t, "put", err, "AccessDenied", 403)
		_, err = c.GetObject(h.ctx, &s3.GetObjectInput{Bucket: &bucket, Key: ptr("none")})
		refused(h.t, "get", err, "NoSuchKey", 404)
	}
	_, err = c.GetObject(h.ctx, &s3.GetObjectInput{Bucket: &bucket, Key: ptr("go/one"), Range: ptr("bytes=5-")})
	refused(h.t, "range", err, "InvalidRange", 416)
	_, err = c.ListParts(h.ctx, &s3.ListPartsInput{Bucket: &bucket, Key: ptr("k"), UploadId: ptr(strings.Repeat("0", 32))})
	refused(h.t, "upload id", err, "NoSuchUpload", 404)
}

func goManager(h *house, c *s3.Client, bucket, dir string) {
	m := transfermanager.New(c)
	for name := range h.files {
		f, err := os.Open(filepath.Join(dir, name))
		h.must(err)
		_, err = m.UploadObject(h.ctx, &transfermanager.UploadObjectInput{Bucket: &bucket, Key: ptr("transfermanager/" + name), Body: f})
		h.must(err)
		h.must(f.Close())
	}
	_, err := m.UploadObject(h.ctx, &transfermanager.UploadObjectInput{Bucket: &bucket, Key: ptr("transfermanager/stream"), Body: large(h, dir)})
	h.must(err)
	_, err = m.UploadObject(h.ctx, &transfermanager.UploadObjectInput{Bucket: &bucket, Key: ptr("denied/x"), Body: large(h, dir)})
	refused(h.t, "upload", err, "AccessDenied", 403)
	got := h.t.TempDir()
	for name := range files {
		if name == "empty" {
			continue // the manager asks for a range of it
		}
		f, err := os.Create(filepath.Join(got, name))
		h.must(err)
		_, err = m.DownloadObject(h.ctx, &transfermanager.DownloadObjectInput{Bucket: &bucket, Key: ptr("transfermanager/" + name), WriterAt: f})
		h.must(err)
		h.must(f.Close())
	}
	h.must(os.WriteFile(filepath.Join(got, "empty"), nil, 0o600))
	same(h, dir, got)
}

func awsCLI(h *house, endpoint, bucket, dir string) {
	run := func(stdin io.Reader, args ...string) {
		h.t.Helper()
		command(h, stdin, "/usr/bin/aws", append([]string{"--endpoint-url", endpoint}, args...)...)
	}
	at := "s3://" + bucket + "/aws"
	run(nil, "s3", "sync", "--only-show-errors", dir, at)
	run(large(h, dir), "s3", "cp", "--only-show-errors", "-", at+"/stream")
	got := h.t.TempDir()
	run(nil, "s3", "cp", "--only-show-errors", "--recursive", at, got)
	same(h, dir, got)
	run(nil, "s3", "cp", "--only-show-errors", at+"/large", at+"/copy")
	fails(h, "(AccessDenied)", "/usr/bin/aws", "--endpoint-url", endpoint, "s3", "cp", filepath.Join(dir, "large"), "s3://"+bucket+"/denied/x")
	if strings.HasPrefix(endpoint, "https") {
		return // what has no large body is the same there
	}
	run(nil, "s3api", "put-object-tagging", "--bucket", bucket, "--key", "aws/one", "--tagging", "TagSet=[{Key=a,Value=b}]")
	fails(h, "(NoSuchKey)", "/usr/bin/aws", "--endpoint-url", endpoint, "s3api", "get-object", "--bucket", bucket, "--key", "none", filepath.Join(got, "none"))
}

func rclone(h *house, endpoint, bucket, dir string) {
	id, secret := h.keys()
	for name, v := range map[string]string{"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": endpoint, "ACCESS_KEY_ID": id, "SECRET_ACCESS_KEY": secret, "REGION": h.ready.Region,
		// Parts from 5 MiB on, so that the sizes are of interest.
		"UPLOAD_CUTOFF": "5M", "CHUNK_SIZE": "5M"} {
		h.t.Setenv("RCLONE_CONFIG_STRAIT_"+name, v)
	}
	h.t.Setenv("AWS_CA_BUNDLE", "") // which it cannot read for itself
	args := []string{"--ca-cert", h.ready.CA, "--config", "", "--retries", "1", "--low-level-retries", "1"}
	run := func(stdin io.Reader, more ...string) {
		h.t.Helper()
		command(h, stdin, "rclone", append(args, more...)...)
	}
	at := "strait:" + bucket + "/rclone"
	run(nil, "copy", dir, at)
	run(large(h, dir), "rcat", at+"/stream")
	run(nil, "check", "--one-way", dir, at)
	got := h.t.TempDir()
	run(nil, "copy", at, got)
	same(h, dir, got)
	run(nil, "copyto", at+"/large", at+"/copy")
	run(nil, "ls", "strait:")
	fails(h, "AccessDenied", "rclone", append(args, "copyto", filepath.Join(dir, "large"), "strait:"+bucket+"/denied/x")...)
}

func s3cmd(h *house, endpoint, bucket, dir string) {
	id, secret := h.keys()
	host := endpoint[strings.Index(endpoint, "//")+2:]
	args := []string{"-c", "/dev/null", "--access_key=" + id, "--secret_key=" + secret, "--host=" + host, "--host-bucket=" + host, "--region=" + h.ready.Region,
		"--multipart-chunk-size-mb=5", "--no-progress"}
	if strings.HasPrefix(endpoint, "https") {
		args = append(args, "--ssl", "--ca-certs="+h.ready.CA)
	} else {
		args = append(args, "--no-ssl")
	}
	run := func(stdin io.Reader, more ...string) {
		h.t.Helper()
		command(h, stdin, "s3cmd", append(args, more...)...)
	}
	at := "s3://" + bucket + "/s3cmd/"
	run(nil, "put", "--recursive", dir+"/", at)
	run(large(h, dir), "put", "-", at+"stream")
	got := h.t.TempDir()
	run(nil, "sync", at, got+"/")
	same(h, dir, got)
	run(nil, "cp", at+"large", at+"copy")
	if strings.HasPrefix(endpoint, "http:") { // what has no large body is the same over TLS
		run(nil, "ls", at)
		run(nil, "info", at+"one")
		run(nil, "info", "s3://"+bucket)
	}
	fails(h, "AccessDenied", "s3cmd", append(args, "put", filepath.Join(dir, "one"), "s3://"+bucket+"/denied/x")...)
}

// keys are the admin's, for programs that do not read AWS's file.
func (h *house) keys() (id, secret string) {
	h.t.Helper()
	b, err := os.ReadFile(h.ready.Credentials)
	h.must(err)
	for line := range strings.Lines(string(b)) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), " = ")
		switch name {
		case "aws_access_key_id":
			id = v
		case "aws_secret_access_key":
			secret = v
		}
	}
	return id, secret
}
