package device_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait/device"
)

// nth gives a fault to some of the requests that ok chooses.
func nth(ok func(*http.Request) bool, f fault, which ...int) func(*http.Request) fault {
	n := 0
	return func(r *http.Request) fault {
		if !ok(r) {
			return none
		}
		n++
		for _, w := range which {
			if n == w {
				return f
			}
		}
		return none
	}
}

func every(*http.Request) bool { return true }

// Whatever happens on the way, the file arrives, byte for byte, and each fault
// costs one part at most.
func TestFaults(t *testing.T) {
	h := open(t)
	c := h.connect()
	const part = 5 * mib
	size := int64(24*mib + 123)
	if long() {
		size = 2 << 30
	}
	file := h.file("f.bin", size)
	for name, test := range map[string]struct {
		judge func(*http.Request) fault
		said  device.EventKind
		anew  bool // the whole is sent twice, because nothing else is right
	}{
		"latency":                       {nth(every, late, 1, 2, 3, 4, 5, 6, 7, 8), "", false},
		"500":                           {nth(every, broken, 1, 2, 4, 6, 8), device.Retrying, false},
		"503 SlowDown":                  {nth(isPart, slowDown, 1, 2, 3), device.Retrying, false},
		"damaged":                       {nth(isPart, damaged, 1, 4), device.Retrying, false},
		"cut at any byte":               {nth(isPart, cut, 1, 3, 5), device.Retrying, false},
		"an answer's checksum is wrong": {nth(isPart, liar, 2), device.Retrying, false},
		"the device's address changes":  {nth(isPart, hook, 3), device.Retrying, false},
		"requests lost":                 {nth(every, swallowed, 1, 3, 5), device.Retrying, false},
		"half-open":                     {nth(isPart, silent, 2), device.Retrying, false},
		"a part's answer lost":          {nth(isPart, lost, 2), device.Retrying, false},
		"the end's answer lost":         {nth(isEnd, lost, 1), device.Retrying, false},
		"the end refused by a 500":      {nth(isEnd, broken, 1, 2), device.Retrying, false},
		"the upload vanishes midway":    {nth(isPart, hook, 3), device.Restarted, true},
		"the server starts again":       {nth(isPart, hook, 3), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			switch name {
			case "the server starts again":
				h.s3.call = func() { h.s.Close(); h.start() }
			case "the device's address changes":
				h.s3.call = func() {
					h.s3.move("127.0.0.2")
					panic(http.ErrAbortHandler)
				}
				defer h.s3.move("")
			default:
				h.s3.call = func() { h.vanish(t) }
			}
			h.s3.set(test.judge)
			var mu sync.Mutex
			said := map[device.EventKind]int{}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			if long() {
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Minute)
			}
			defer cancel()
			out, err := c.Upload(ctx, device.UploadInput{
				File: file, Key: name, PartSize: part, Concurrency: 2, Endpoint: h.web.URL, Journal: filepath.Join(t.TempDir(), "journal"),
				Say: func(e device.Event) {
					mu.Lock()
					defer mu.Unlock()
					said[e.Kind]++
				},
			})
			faults, puts, bytes := h.s3.counts()
			if err != nil {
				t.Fatalf("after %d faults: %v", faults, err)
			}
			if faults == 0 {
				t.Fatal("no fault happened: this shows nothing")
			}
			if test.said != "" && said[test.said] == 0 {
				t.Errorf("it said %v, want %s", said, test.said)
			}
			t.Logf("%d faults, %d parts sent, %.2f of the file's bytes; said %v", faults, puts, float64(bytes)/float64(size), said)
			// A machine that stands still for longer than the stall is one more.
			failed := max(faults, said[device.Retrying])
			if most := size + int64(failed+1)*part; !test.anew && bytes > most {
				t.Errorf("%d bytes were sent for a file of %d and %d faults, want at most %d", bytes, size, failed, most)
			}
			h.compare(out.Key, file)
		})
	}
}

// vanish aborts all uploads, as a bucket's lifecycle does.
func (h *house) vanish(t *testing.T) {
	a := h.admin()
	up, err := a.S3.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
	if err != nil {
		t.Error(err)
		return
	}
	for _, x := range up.Uploads {
		if _, err := a.S3.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: x.Key, UploadId: x.UploadId}); err != nil {
			t.Error(fmt.Errorf("abort: %w", err))
		}
	}
}

// fast is a clock on which an hour takes twelve seconds, until it is stopped:
// then it is the real one.
func fast() (now func() time.Time, stop func()) {
	start := time.Now()
	var stopped atomic.Bool
	return func() time.Time {
		if stopped.Load() {
			return time.Now()
		}
		return start.Add(300 * time.Since(start))
	}, func() { stopped.Store(true) }
}

// Credentials of 900 s under an upload that takes 40 minutes: the time is
// compressed. A device whose clock is right renews them before their end; one
// whose clock is late is told by the server. Neither sends a part twice.
func TestShortCredentials(t *testing.T) {
	now, stop := fast()
	h := openAt(t, now)
	const part, rate = 5 * mib, 8 * mib
	size := int64(48 * mib)
	file := h.file("slow.bin", size)
	var keys []string
	for name, late := range map[string]time.Duration{"in time": 0, "too late": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			send := func() map[device.EventKind]int {
				c, err := device.Connect(t.Context(), device.Config{
					Endpoint: h.mqtt.addr, Thing: "device00", CertFile: h.thing.Certificate, KeyFile: h.thing.Key, CAFile: h.s.Ready().CA,
					Timeout: 20 * time.Second, Bandwidth: rate, Now: func() time.Time { return now().Add(-late) },
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				h.s3.set(nil)
				var mu sync.Mutex
				said := map[device.EventKind]int{}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				begin := now()
				out, err := c.Upload(ctx, device.UploadInput{
					File: file, Key: "slow " + name, PartSize: part, Concurrency: 1, Duration: 15 * time.Minute, Endpoint: h.web.URL,
					Say: func(e device.Event) {
						mu.Lock()
						defer mu.Unlock()
						said[e.Kind]++
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				took := now().Sub(begin)
				_, puts, bytes := h.s3.counts()
				t.Logf("it took %s of the compressed time; %d keys signed %d parts; said %v", took.Round(time.Second), h.s3.signers(), puts, said)
				// A late device asks only when it is told, so that two keys may do.
				if took < 25*time.Minute || h.s3.signers() < 2 {
					t.Errorf("%d keys in %s: the credentials did not expire on the way", h.s3.signers(), took)
				}
				if again := said[device.Renewed] + said[device.Corrected] + said[device.Retrying]; bytes > size+int64(again)*part {
					t.Errorf("%d bytes were sent for %d, and %d parts again", bytes, size, again)
				}
				keys = append(keys, out.Key)
				return said
			}
			// A second of this machine is five minutes here: when it stands still
			// for that long, a late device renews them itself, or learns the time.
			for tries := 1; send()[device.Renewed] == 0 && late > 0; tries++ {
				if tries == 5 {
					t.Fatal("the server never called them expired: this shows nothing")
				}
			}
		})
	}
	stop() // the operator's client signs by the real time
	for _, key := range keys {
		h.compare(key, file)
	}
}
