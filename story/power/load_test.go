package power_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// A history is everything that was tried, and what was acknowledged of it. One
// name is changed by one worker only, one change after another; so what is seen
// later must be the last acknowledged state, or one that was tried after it.
type history struct {
	objects map[string][]*version
	uploads []*upload
	things  map[string][]*version
	roles   map[string][]*version
	certs   map[string]*ack
	sleeper ack // the subscription of the session that is offline

	sent      map[string][]*ack // by topic below q/: the messages 0, 1, 2 ...
	retained  map[string][]*ack // by topic below r/
	delivered map[string]bool   // payloads that the sleeper has got and acknowledged for good

	mu     sync.Mutex
	acked  atomic.Int64
	target atomic.Int64 // of acked, at which reached is called
	seed   atomic.Uint64

	reached func()
}

// A version is one state of a name.
type version struct {
	there bool
	etag  string
	seed  uint64
	size  int
	ack   ack
}

// An upload in several parts. whole is the version that completing makes.
type upload struct {
	key, id  string
	begun    ack
	parts    []*version
	whole    *version
	complete bool // was tried
	aborted  *ack // was tried
}

func newHistory() *history {
	h := &history{objects: map[string][]*version{}, things: map[string][]*version{}, roles: map[string][]*version{}, certs: map[string]*ack{},
		sent: map[string][]*ack{}, retained: map[string][]*ack{}, delivered: map[string]bool{}}
	return h
}

// answered counts an acknowledgement.
func (h *history) answered() {
	if h.acked.Add(1) == h.target.Load() {
		h.reached()
	}
}

// try remembers a change that is about to be tried.
func (h *history) try(of map[string][]*version, name string, v *version) *ack {
	h.mu.Lock()
	defer h.mu.Unlock()
	of[name] = append(of[name], v)
	return &v.ack
}

func (h *history) send(of map[string][]*ack, topic string) (n int, a *ack) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a = new(ack)
	of[topic] = append(of[topic], a)
	return len(of[topic]) - 1, a
}

func (h *history) bytes(size int) (*version, []byte) {
	v := &version{there: true, seed: h.seed.Add(1), size: size}
	b := body(v.seed, size)
	v.etag = etag(b)
	return v, b
}

// prepare makes the bucket, and the session that sleeps.
func (h *history) prepare(ctx context.Context, c *client) error {
	if _, err := c.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket),
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: region}}); err != nil {
		return err
	}
	d, err := c.connect(ctx, "sleeper", false)
	if err != nil {
		return err
	}
	defer d.close()
	return d.subscribe(ctx, "q/#", &h.sleeper)
}

// run lets all kinds of workers change things at the same time, each for some
// steps, or until one fails. round makes names of their own where needed.
func (h *history) run(ctx context.Context, c *client, round, steps int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	start := func(name string, work func(ctx context.Context, c *client, name string, step int, r *rand.Rand) error) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(round), uint64(len(name))))
			for step := range steps {
				if err := work(ctx, c, name, round*steps+step, r); err != nil {
					cancel(fmt.Errorf("%s, step %d: %w", name, step, err))
					return
				}
			}
		})
	}
	start("puts-a", h.put)
	start("puts-bb", h.put)
	start("puts-ccc", h.put)
	start("parts-a", h.multipart)
	start("parts-bb", h.multipart)
	start("http", h.publishHTTP)
	start("control-a", h.control)
	start("control-bb", h.control)
	for _, name := range []string{"mqtt-a", "mqtt-bb"} {
		d, err := c.connect(ctx, name, true)
		if err != nil {
			return err
		}
		defer d.close()
		start(name, func(ctx context.Context, _ *client, name string, step int, r *rand.Rand) error {
			return h.publish(ctx, d, name, step, r)
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// put writes objects, over older ones, too, and deletes some.
func (h *history) put(ctx context.Context, c *client, name string, step int, r *rand.Rand) error {
	key := fmt.Sprintf("%s/%d", name, step%5)
	if step%7 == 6 {
		a := h.try(h.objects, key, &version{})
		out, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key})
		if err != nil {
			return err
		}
		h.answered()
		return a.by(out.ResultMetadata, nil)
	}
	v, b := h.bytes([]int{0, r.IntN(2000), r.IntN(70_000), r.IntN(300_000)}[r.IntN(4)])
	a := h.try(h.objects, key, v)
	out, err := c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(b)})
	if err != nil {
		return err
	}
	h.answered()
	return a.by(out.ResultMetadata, nil)
}

// multipart uploads in one to three parts, and leaves some open, or aborts.
func (h *history) multipart(ctx context.Context, c *client, name string, step int, r *rand.Rand) error {
	u := &upload{key: fmt.Sprintf("%s/%d", name, step), whole: &version{there: true}}
	out, err := c.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &u.key})
	if err != nil {
		return err
	}
	u.id = aws.ToString(out.UploadId)
	if err := u.begun.by(out.ResultMetadata, nil); err != nil {
		return err
	}
	h.mu.Lock()
	h.uploads = append(h.uploads, u)
	h.mu.Unlock()
	h.answered()

	sizes := []int{1 + r.IntN(100_000)}
	if step%10 == 3 { // parts before the last have at least 5 MiB
		sizes = append([]int{5 << 20}, sizes...)
	}
	for _, size := range sizes {
		v, _ := h.bytes(size)
		u.parts = append(u.parts, v)
	}
	u.whole.etag = u.etag()
	for i := range u.parts {
		if err := u.send(ctx, c, i); err != nil {
			return err
		}
		h.answered()
	}
	switch step % 5 {
	case 1:
		return nil // stays open
	case 2:
		u.aborted = new(ack)
		out, err := c.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: &u.key, UploadId: &u.id})
		if err != nil {
			return err
		}
		h.answered()
		return u.aborted.by(out.ResultMetadata, nil)
	}
	u.complete = true
	h.try(h.objects, u.key, u.whole)
	if err := u.finish(ctx, c); err != nil {
		return err
	}
	h.answered()
	return nil
}

// etag is that of the whole: the MD5 of the parts' MD5s, and how many.
func (u *upload) etag() string {
	sum := md5.New()
	for _, p := range u.parts {
		b, _ := hex.DecodeString(p.etag)
		sum.Write(b)
	}
	return fmt.Sprintf("%x-%d", sum.Sum(nil), len(u.parts))
}

func (u *upload) send(ctx context.Context, c *client, i int) error {
	p := u.parts[i]
	out, err := c.s3.UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &u.key, UploadId: &u.id,
		PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body(p.seed, p.size))})
	if err != nil {
		return err
	}
	return p.ack.by(out.ResultMetadata, nil)
}

func (u *upload) finish(ctx context.Context, c *client) error {
	var list types.CompletedMultipartUpload
	for i, p := range u.parts {
		list.Parts = append(list.Parts, types.CompletedPart{ETag: aws.String(p.etag), PartNumber: aws.Int32(int32(i + 1))})
	}
	out, err := c.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: &u.key, UploadId: &u.id, MultipartUpload: &list})
	if err != nil {
		return err
	}
	return u.whole.ack.by(out.ResultMetadata, nil)
}

func (h *history) publishHTTP(ctx context.Context, c *client, name string, _ int, _ *rand.Rand) error {
	n, a := h.send(h.sent, "q/"+name)
	id, err := c.publish(ctx, "q%2F"+name, fmt.Sprintf("q/%s %d", name, n))
	if err != nil {
		return err
	}
	a.got, a.request = true, id
	h.answered()
	return nil
}

// publish sends to the sleeper, and every third time a retained message.
func (h *history) publish(ctx context.Context, d *device, name string, step int, _ *rand.Rand) error {
	of, topic := h.sent, "q/"+name
	if step%3 == 0 {
		of, topic = h.retained, fmt.Sprintf("r/%s/%d", name, step%4)
	}
	n, a := h.send(of, topic)
	if err := d.publish(ctx, topic, fmt.Sprintf("%s %d", topic, n), step%3 == 0, a); err != nil {
		return err
	}
	h.answered()
	return nil
}

// control creates and deletes things and roles, and makes certificates.
func (h *history) control(ctx context.Context, c *client, name string, step int, _ *rand.Rand) error {
	id := fmt.Sprintf("%s-%d", name, step/2%6)
	switch step % 10 {
	case 9:
		out, err := c.iot.CreateKeysAndCertificate(ctx, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
		if err != nil {
			return err
		}
		a := new(ack)
		h.mu.Lock()
		h.certs[aws.ToString(out.CertificateId)] = a
		h.mu.Unlock()
		h.answered()
		return a.by(out.ResultMetadata, nil)
	case 0, 2, 4, 6, 8:
		return h.toggle(h.things, id, func(a *ack) error {
			out, err := c.iot.CreateThing(ctx, &iot.CreateThingInput{ThingName: &id})
			if err != nil {
				return err
			}
			return a.by(out.ResultMetadata, nil)
		}, func(a *ack) error {
			out, err := c.iot.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: &id})
			if err != nil {
				return err
			}
			return a.by(out.ResultMetadata, nil)
		})
	default:
		return h.toggle(h.roles, id, func(a *ack) error {
			out, err := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &id, AssumeRolePolicyDocument: aws.String(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
			if err != nil {
				return err
			}
			return a.by(out.ResultMetadata, nil)
		}, func(a *ack) error {
			out, err := c.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &id})
			if err != nil {
				return err
			}
			return a.by(out.ResultMetadata, nil)
		})
	}
}

// toggle makes what is not there, and deletes what is. When it is not known
// which (a try broke off), it leaves the name alone.
func (h *history) toggle(of map[string][]*version, name string, create, remove func(*ack) error) error {
	h.mu.Lock()
	there := false
	for _, v := range of[name] {
		if !v.ack.got {
			h.mu.Unlock()
			return nil
		}
		there = v.there
	}
	h.mu.Unlock()
	a := h.try(of, name, &version{there: !there})
	do := create
	if there {
		do = remove
	}
	if err := do(a); err != nil {
		return err
	}
	h.answered()
	return nil
}
