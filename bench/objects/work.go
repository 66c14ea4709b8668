package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"strait/bench/house"
)

const (
	smallSize = 64 << 10
	atOnce    = 4 // parts, and ranges
)

// A stretch is one kind of work: how long it took, and the server's CPU.
type stretch struct{ wall, cpu time.Duration }

// A result is what one round measured.
type result struct{ put, get, up, complete, down, ranges stretch }

// measure takes the time of fn.
func measure(p *peer, fn func() error) (stretch, error) {
	before, _, err := house.CPU(p.pid)
	if err != nil {
		return stretch{}, err
	}
	begin := time.Now()
	if err := fn(); err != nil {
		return stretch{}, err
	}
	s := stretch{wall: time.Since(begin)}
	after, _, err := house.CPU(p.pid)
	s.cpu = after - before
	return s, err
}

// work asks p for everything once, and deletes what it has put.
func work(ctx context.Context, p *peer, o options, round int) (r result, err error) {
	noise := rand.NewChaCha8([32]byte{byte(round)})
	small, large := make([]byte, smallSize), make([]byte, o.part)
	noise.Read(small)
	noise.Read(large)
	c := p.client
	key := func(i int) string { return fmt.Sprintf("/bench/small/%d/%d", i%50, i) }
	many := func(q func(i int) request) func() error {
		return func() error {
			return each(ctx, o.workers, o.small, func(ctx context.Context, i int) error { return c.do(ctx, q(i), nil) })
		}
	}

	// 1. Small objects.
	if r.put, err = measure(p, many(func(i int) request { return request{method: "PUT", path: key(i), body: small} })); err != nil {
		return r, err
	}
	if r.get, err = measure(p, many(func(i int) request { return request{method: "GET", path: key(i)} })); err != nil {
		return r, err
	}

	// 2. A large one.
	var u multipart
	if u.ID, err = begin(ctx, c); err != nil {
		return r, err
	}
	u.tags = make([]string, (o.size+o.part-1)/o.part)
	if r.up, err = measure(p, func() error { return u.parts(ctx, c, large, o.size) }); err != nil {
		return r, err
	}
	if r.complete, err = measure(p, func() error { return u.complete(ctx, c) }); err != nil {
		return r, err
	}
	if r.down, err = measure(p, func() error { return u.down(ctx, c, 0, 0, o.size) }); err != nil {
		return r, err
	}
	r.ranges, err = measure(p, func() error {
		return each(ctx, atOnce, len(u.tags), func(ctx context.Context, i int) error {
			from := int64(i) * o.part
			to := min(from+o.part, o.size)
			return u.down(ctx, c, from, to, to-from)
		})
	})
	if err != nil {
		return r, err
	}

	// 3. Nothing is left, so that all rounds are alike.
	if err := c.do(ctx, request{method: "DELETE", path: "/bench/large"}, nil); err != nil {
		return r, err
	}
	return r, many(func(i int) request { return request{method: "DELETE", path: key(i)} })()
}

// each calls fn for 0 to n-1 from some goroutines.
func each(ctx context.Context, workers, n int, fn func(ctx context.Context, i int) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := fn(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// A multipart is an upload of /bench/large.
type multipart struct {
	ID   string
	tags []string
}

func begin(ctx context.Context, c *client) (id string, err error) {
	var answer struct{ UploadId string }
	err = c.do(ctx, request{method: "POST", path: "/bench/large?uploads="}, func(r *http.Response) error {
		return xml.NewDecoder(r.Body).Decode(&answer)
	})
	return answer.UploadId, err
}

func (u *multipart) parts(ctx context.Context, c *client, data []byte, size int64) error {
	return each(ctx, atOnce, len(u.tags), func(ctx context.Context, i int) error {
		n := min(int64(len(data)), size-int64(i)*int64(len(data)))
		q := request{method: "PUT", path: fmt.Sprintf("/bench/large?partNumber=%d&uploadId=%s", i+1, u.ID), body: data[:n]}
		return c.do(ctx, q, func(r *http.Response) error {
			u.tags[i] = r.Header.Get("ETag")
			_, err := io.Copy(io.Discard, r.Body)
			return err
		})
	})
}

func (u *multipart) complete(ctx context.Context, c *client) error {
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for i, tag := range u.tags {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, tag)
	}
	b.WriteString("</CompleteMultipartUpload>")
	return c.do(ctx, request{method: "POST", path: "/bench/large?uploadId=" + u.ID, body: []byte(b.String()), plain: true}, nil)
}

func (u *multipart) down(ctx context.Context, c *client, from, to, want int64) error {
	return c.do(ctx, request{method: "GET", path: "/bench/large", from: from, to: to}, func(r *http.Response) error {
		n, err := c.drain(r.Body)
		if err == nil && n != want {
			err = fmt.Errorf("got %d bytes, not %d", n, want)
		}
		return err
	})
}
