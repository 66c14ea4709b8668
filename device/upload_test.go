package device_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait"
	"strait/device"
)

func noise(n int) []byte {
	var seed [32]byte
	b := make([]byte, n)
	r := rand.NewChaCha8(seed)
	r.Read(b)
	return b
}

func (h *house) stored(key string) (*s3.GetObjectOutput, []byte) {
	h.t.Helper()
	out, err := h.admin.S3.GetObject(h.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return out, b
}

// The main job: a certificate in, narrow credentials out, files of several
// sizes through, and nothing outside the prefix.
func TestUpload(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	ctx := within(t)

	g, err := c.Credentials(device.CredentialsOptions{}).Grant(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if g.Bucket != bucket || g.Prefix != "device00/" || g.Region != "ap-northeast-1" || g.SessionToken == "" || time.Until(g.Expiration) > time.Hour {
		t.Errorf("the grant is %+v", g)
	}
	again, err := c.Credentials(device.CredentialsOptions{}).Grant(ctx)
	if err != nil || again.AccessKeyID != g.AccessKeyID {
		t.Errorf("the second grant is %s (%v), want the kept %s", again.AccessKeyID, err, g.AccessKeyID)
	}

	const size = 10<<20 + 12345
	data := noise(size)
	file := filepath.Join(t.TempDir(), "log.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		in    device.UploadInput
		want  []byte
		parts int
	}{
		"nothing": {device.UploadInput{Body: bytes.NewReader(nil)}, nil, 1},
		"small":   {device.UploadInput{Body: bytes.NewReader(data[:1000]), Size: 1000}, data[:1000], 1},
		"parts":   {device.UploadInput{File: file, PartSize: 5 << 20, Concurrency: 2}, data, 3},
	} {
		t.Run(name, func(t *testing.T) {
			in := test.in
			in.Key, in.ContentType, in.ContentEncoding, in.Metadata = "a b/"+name, "text/plain", "gzip", map[string]string{"from": "test"}
			var last, total int64
			in.Progress = func(d, n int64) { last, total = d, n }
			out, err := c.Upload(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			if out.Key != "device00/a b/"+name || out.Parts != test.parts || out.Size != int64(len(test.want)) {
				t.Errorf("Upload = %+v", out)
			}
			if last != out.Size || total != out.Size {
				t.Errorf("progress ended with %d of %d, want %d", last, total, out.Size)
			}
			head, got := h.stored(out.Key)
			if sha256.Sum256(got) != sha256.Sum256(test.want) {
				t.Error("what is stored differs from what was sent")
			}
			if aws.ToString(head.ChecksumCRC64NVME) != out.CRC64NVME || aws.ToString(head.ETag) != out.ETag {
				t.Errorf("stored with checksum %s and ETag %s, told %s and %s", aws.ToString(head.ChecksumCRC64NVME), aws.ToString(head.ETag), out.CRC64NVME, out.ETag)
			}
			if aws.ToString(head.ContentType) != "text/plain" || aws.ToString(head.ContentEncoding) != "gzip" || head.Metadata["from"] != "test" {
				t.Errorf("stored with %q, %q, %v", aws.ToString(head.ContentType), aws.ToString(head.ContentEncoding), head.Metadata)
			}
		})
	}

	t.Run("plain http", func(t *testing.T) {
		out, err := c.Upload(ctx, device.UploadInput{Body: bytes.NewReader(data), Size: 6 << 20, Key: "plain", PartSize: 5 << 20, Endpoint: "http://" + h.s.Ready().HTTP[0]})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := h.stored(out.Key); !bytes.Equal(got, data[:6<<20]) {
			t.Error("what is stored differs from what was sent")
		}
	})
	t.Run("another thing's prefix", func(t *testing.T) {
		for _, size := range []int64{1000, size} {
			_, err := c.Upload(ctx, device.UploadInput{Body: bytes.NewReader(data), Size: size, PartSize: 5 << 20, FullKey: "device01/stolen"})
			wantKind(t, "an upload to another prefix", err, strait.Denied, "device01/stolen", "AccessDenied", "strait explain --thing device00")
		}
	})
	t.Run("purpose", func(t *testing.T) {
		out, err := c.Upload(ctx, device.UploadInput{Body: bytes.NewReader(data), Size: 10, Key: "x", Purpose: "logs"})
		if err != nil || out.Key != "device00/logs/x" {
			t.Errorf("Upload = %+v, %v", out, err)
		}
		_, err = c.Upload(ctx, device.UploadInput{Body: bytes.NewReader(data), Size: 10, FullKey: "device00/x", Purpose: "logs"})
		wantKind(t, "an upload beside the purpose", err, strait.Denied)
		_, err = c.Upload(ctx, device.UploadInput{Body: bytes.NewReader(data), Size: 10, Key: "x", Purpose: "../x"})
		wantKind(t, "a purpose that is none", err, strait.Invalid, "purpose")
	})
	t.Run("shorter than told", func(t *testing.T) {
		_, err := c.Upload(ctx, device.UploadInput{Body: bytes.NewReader(data[:6<<20]), Size: 11 << 20, Key: "short", PartSize: 5 << 20})
		wantKind(t, "a file that became shorter", err, strait.Invalid, "shorter")
		_, err = h.admin.S3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("device00/short")})
		if err == nil {
			t.Error("an object is there although its upload failed")
		}
		up, err := h.admin.S3.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
		if err == nil && len(up.Uploads) > 0 {
			t.Errorf("%d uploads are left over", len(up.Uploads))
		}
	})
}

// clockFile moves the clock when the second part is read.
type clockFile struct {
	io.ReaderAt
	at   int64
	once sync.Once
	fn   func()
}

func (f *clockFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.at {
		f.once.Do(f.fn)
	}
	return f.ReaderAt.ReadAt(p, off)
}

// Credentials live for an hour at most: a large file takes longer, and goes on
// with new ones.
func TestRefreshInTheMiddle(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	ctx := within(t)
	before, err := c.Credentials(device.CredentialsOptions{}).Grant(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data := noise(10<<20 + 1)
	out, err := c.Upload(ctx, device.UploadInput{
		Body: &clockFile{ReaderAt: bytes.NewReader(data), at: 5 << 20, fn: func() { h.clock.move(61 * time.Minute) }},
		Size: int64(len(data)), Key: "long", PartSize: 5 << 20, Concurrency: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	after, err := c.Credentials(device.CredentialsOptions{}).Grant(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if after.AccessKeyID == before.AccessKeyID {
		t.Error("the credentials are the same although they expired on the way")
	}
	keys := map[string]bool{}
	for _, r := range h.s.Recorder().Records() {
		if r.Action == "s3:PutObject" && r.Effect == "allow" {
			keys[r.KeyID] = true
		}
	}
	if !keys[before.AccessKeyID] || !keys[after.AccessKeyID] {
		t.Errorf("put with %d keys, want both the old and the new", len(keys))
	}
	h.clock.move(-61 * time.Minute) // the admin's client signs by the real clock
	if _, got := h.stored(out.Key); !bytes.Equal(got, data) {
		t.Error("what is stored differs from what was sent")
	}
}

func TestUploadInput(t *testing.T) {
	h := open(t)
	c := h.connect(nil)
	one := bytes.NewReader([]byte{1})
	for name, in := range map[string]device.UploadInput{
		"no file":           {File: filepath.Join(t.TempDir(), "none"), Key: "k"},
		"a directory":       {File: t.TempDir(), Key: "k"},
		"no body":           {Key: "k"},
		"no key":            {Body: one, Size: 1},
		"a small part":      {Body: one, Size: 1, Key: "k", PartSize: 1},
		"negative":          {Body: one, Size: -1, Key: "k"},
		"a key of bytes":    {Body: one, Size: 1, Key: "\xff"},
		"a key too long":    {Body: one, Size: 1, Key: strings.Repeat("k", 1020)},
		"too many at once":  {Body: one, Size: 1, Key: "k", Concurrency: 1000},
		"an odd endpoint":   {Body: one, Size: 1, Key: "k", Endpoint: "ftp://x"},
		"an endpoint alone": {Body: one, Size: 1, Key: "k", Endpoint: "localhost"},
		"a type of lines":   {Body: one, Size: 1, Key: "k", ContentType: "a\nb"},
		"an odd encoding":   {Body: one, Size: 1, Key: "k", ContentEncoding: "\x00"},
		"an odd name":       {Body: one, Size: 1, Key: "k", Metadata: map[string]string{"a b": "c"}},
		"an odd value":      {Body: one, Size: 1, Key: "k", Metadata: map[string]string{"a": "b\rc"}},
	} {
		_, err := c.Upload(within(t), in)
		wantKind(t, name, err, strait.Invalid)
	}
}

// A device's clock is behind: the server says ExpiredToken first, and the
// device asks for new credentials and goes on.
func TestExpiredAtTheServer(t *testing.T) {
	h := open(t)
	var behind clock
	c := h.connect(func(cfg *device.Config) { cfg.Now = behind.Now })
	ctx := within(t)
	in := device.UploadInput{Body: bytes.NewReader([]byte("x")), Size: 1, Key: "x", Duration: 15 * time.Minute}
	creds := c.Credentials(device.CredentialsOptions{Duration: in.Duration})
	if _, err := c.Upload(ctx, in); err != nil {
		t.Fatal(err)
	}
	before, err := creds.Grant(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.move(16 * time.Minute)
	behind.move(9 * time.Minute)
	if _, err := c.Upload(ctx, in); err != nil {
		t.Fatal(err)
	}
	after, err := creds.Grant(ctx)
	if err != nil || after.AccessKeyID == before.AccessKeyID {
		t.Errorf("the credentials are still those that the server would not have (%v)", err)
	}
}

// waiting is a stream whose writer says nothing.
type waiting struct {
	asked func()
	end   chan struct{}
}

func (w waiting) Read([]byte) (int, error) {
	w.asked()
	<-w.end
	return 0, io.EOF
}

// A stream may be silent for hours: whoever ends the upload does not wait for it.
func TestStreamIsLeft(t *testing.T) {
	up, err := device.NewUploader(device.Config{}, credentials.NewStaticCredentialsProvider("AKIAX", "secret", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	spool := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan struct{})
	defer close(end)
	_, err = up.UploadStream(ctx, waiting{cancel, end}, spool, device.UploadInput{Key: "k", Bucket: "b", Region: "r", Endpoint: "http://127.0.0.1:1"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("the spool holds %v (%v)", left, err)
	}
}
