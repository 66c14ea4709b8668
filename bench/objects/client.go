package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A client asks one server. It does as little as it can, for it runs on the
// same machine.
type client struct {
	peer    *peer
	payload string
	signer  *v4.Signer
	http    *http.Client
	buffers sync.Pool
}

func newClient(p *peer, o options) *client {
	return &client{peer: p, payload: o.payload,
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true,
			WriteBufferSize: 128 << 10, ReadBufferSize: 128 << 10}},
		buffers: sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }},
	}
}

type request struct {
	method, path string
	body         []byte
	from, to     int64 // of a range; to is the byte behind it, 0 for no range
	plain        bool  // the body is XML
}

// do asks, and gives the answer to take (nil reads it to its end).
func (c *client) do(ctx context.Context, q request, take func(*http.Response) error) error {
	r, err := http.NewRequestWithContext(ctx, q.method, c.peer.endpoint+q.path, bytes.NewReader(q.body))
	if err != nil {
		return err
	}
	hash := "UNSIGNED-PAYLOAD"
	switch {
	case len(q.body) == 0 || c.payload == "hashed" || q.plain:
		sum := sha256.Sum256(q.body)
		hash = hex.EncodeToString(sum[:])
	case c.payload == "trailer":
		hash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
		c.frame(r, q.body)
	}
	if q.to > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", q.from, q.to-1))
	}
	r.Header.Set("X-Amz-Content-Sha256", hash)
	if err := c.signer.SignHTTP(ctx, c.peer.keys, r, hash, "s3", c.peer.region, time.Now()); err != nil {
		return err
	}
	a, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(a.Body, 2000))
		return fmt.Errorf("%s %s: %s: %s", q.method, q.path, a.Status, said)
	}
	if take != nil {
		return take(a)
	}
	_, err = c.drain(a.Body)
	return err
}

// frame puts a body into chunks with a checksum behind, as SDKs do over TLS.
func (c *client) frame(r *http.Request, body []byte) {
	const chunk = 64 << 10
	var parts []io.Reader
	length := 0
	add := func(b []byte) { parts, length = append(parts, bytes.NewReader(b)), length+len(b) }
	for rest := body; len(rest) > 0; {
		n := min(chunk, len(rest))
		add([]byte(strconv.FormatInt(int64(n), 16) + "\r\n"))
		add(rest[:n])
		add([]byte("\r\n"))
		rest = rest[n:]
	}
	sum := crc32.ChecksumIEEE(body)
	add([]byte("0\r\nx-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}) + "\r\n\r\n"))
	r.Body, r.ContentLength = io.NopCloser(io.MultiReader(parts...)), int64(length)
	r.GetBody = nil
	r.Header.Set("Content-Encoding", "aws-chunked")
	r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(body)))
}

// drain reads to the end and returns how much that was.
func (c *client) drain(r io.Reader) (n int64, err error) {
	buf := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buf)
	for {
		m, err := r.Read(*buf)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
