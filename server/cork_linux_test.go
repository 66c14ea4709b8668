package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/server"
	"strait/setup"
)

// The head of an answer comes with the first bytes of its body, in one piece,
// and nothing is kept back of one that is short.
func TestHeadComesWithBody(t *testing.T) {
	h, err := server.Start(t.Context(), server.Config{
		Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"}, HTTP: []string{"127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	r := h.Ready()
	t.Setenv("AWS_ENDPOINT_URL", "http://"+r.HTTP[0])
	t.Setenv("AWS_REGION", r.Region)
	admin, err := setup.NewSession(t.Context(), config.WithSharedCredentialsFiles([]string{r.Credentials}))
	if err != nil {
		t.Fatal(err)
	}
	bucket := aws.String("heads")
	if _, err := admin.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", r.HTTP[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := &firstRead{Reader: c}
	in := bufio.NewReaderSize(first, 1<<20)
	for _, size := range []int{0, 1, 3000, 4095, 4096, 4097, 5000, 64 << 10, 300_000} {
		key := aws.String(fmt.Sprint(size))
		body := bytes.Repeat([]byte("straits "), size/8+1)[:size]
		if _, err := admin.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
		u, err := s3.NewPresignClient(admin.S3).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		_, path, _ := strings.Cut(u.URL, r.HTTP[0])
		const times = 20
		together := 0
		for range times {
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, r.HTTP[0])
			first.n = 0
			a, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(a.Body)
			if err != nil || a.StatusCode != 200 || !bytes.Equal(got, body) {
				t.Fatalf("%d bytes: got %s, %d bytes, %v", size, a.Status, len(got), err)
			}
			if first.n > 4<<10 {
				together++
			}
		}
		// Now and then a machine may stand still for the 200 ms of the kernel.
		if size > 4<<10 && together < times*3/4 {
			t.Errorf("%d bytes: the head came with the body %d times of %d", size, together, times)
		}
	}
}

// A firstRead remembers how much came first.
type firstRead struct {
	io.Reader
	n int
}

func (f *firstRead) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.n == 0 {
		f.n = n
	}
	return n, err
}
