package power_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A checking compares a server with a history.
type checking struct {
	*history
	c        *client
	held     func(*ack) bool // whether the acknowledgement had been given
	problems []string
	n        int       // acknowledgements that were checked
	done     []*upload // completed by this check
	seen     []seen
	woken    map[string]bool // payloads that the sleeper got
}

// A seen is the state in which a name was found.
type seen struct {
	of      map[string][]*version
	name    string
	version *version
}

// check returns what is wrong in the server that c speaks to, and how many
// acknowledgements it checked. With lasting the history goes on from here, else
// the server was one of many that may come of it.
func (h *history) check(ctx context.Context, c *client, held func(*ack) bool, lasting bool) (problems []string, n int) {
	k := &checking{history: h, c: c, held: func(a *ack) bool { return a.got && held(a) }}
	k.everyObject(ctx)
	k.everyUpload(ctx)
	k.everyName(ctx)
	k.everyMessage(ctx)
	k.everyRetained(ctx)
	k.goesOn(ctx)
	if lasting {
		k.settle()
	}
	return k.problems, k.n
}

// settle makes what was seen the state from which the history goes on.
func (k *checking) settle() {
	maps.Copy(k.delivered, k.woken)
	for _, u := range k.done {
		u.complete = true
		k.seen = append(k.seen, seen{k.objects, u.key, u.whole})
	}
	for _, s := range k.seen {
		s.version.ack.got = true
		s.of[s.name] = []*version{s.version}
	}
}

func (k *checking) wrong(format string, args ...any) {
	k.problems = append(k.problems, fmt.Sprintf(format, args...))
}

// allowed are the states of a name that may be seen: the last acknowledged one
// and those tried after it. The state before all is not there.
func (k *checking) allowed(versions []*version) []*version {
	from := -1
	for i, v := range versions {
		if k.held(&v.ack) {
			from = i
			k.n++
		}
	}
	if from < 0 {
		return append([]*version{{}}, versions...)
	}
	return versions[from:]
}

// everyObject: what the list shows is complete, and what must be there is.
func (k *checking) everyObject(ctx context.Context) {
	listed := map[string]string{}
	var token *string
	for {
		out, err := k.c.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), ContinuationToken: token, MaxKeys: aws.Int32(50)})
		if err != nil {
			if k.held(&k.sleeper) { // the bucket was made before
				k.wrong("list objects: %v", err)
			}
			return
		}
		for _, o := range out.Contents {
			listed[aws.ToString(o.Key)] = unquote(o.ETag)
		}
		if token = out.NextContinuationToken; token == nil {
			break
		}
	}
	for key := range listed {
		if k.objects[key] == nil {
			k.wrong("object %s is listed and was never completed", key)
		}
	}
	for key, versions := range k.objects {
		k.object(ctx, key, listed[key], k.allowed(versions))
	}
}

func (k *checking) object(ctx context.Context, key, listed string, allowed []*version) {
	tag, b, err := k.c.get(ctx, key)
	there := err == nil
	if err != nil && !is(err, "NoSuchKey") {
		k.wrong("object %s: %v", key, err)
		return
	}
	if there != (listed != "") || there && tag != listed {
		k.wrong("object %s: listed with ETag %q, read with %q", key, listed, tag)
		return
	}
	for _, v := range allowed {
		if v.there == there && (!there || v.etag == tag && k.sameBytes(key, v, b)) {
			k.seen = append(k.seen, seen{k.objects, key, v})
			return
		}
	}
	k.wrong("object %s: there %t with ETag %q and %d bytes: none of the %d states that it may have", key, there, tag, len(b), len(allowed))
}

// sameBytes compares b with what was sent.
func (k *checking) sameBytes(key string, v *version, b []byte) bool {
	parts := []*version{v}
	for _, u := range k.uploads {
		if u.key == key {
			parts = u.parts
		}
	}
	for _, p := range parts {
		if len(b) < p.size || !bytes.Equal(b[:p.size], body(p.seed, p.size)) {
			return false
		}
		b = b[p.size:]
	}
	return len(b) == 0
}

// everyUpload: those that were open can be completed without sending again
// what was acknowledged.
func (k *checking) everyUpload(ctx context.Context) {
	for _, u := range k.uploads {
		if !k.held(&u.begun) || u.complete && k.held(&u.whole.ack) || u.aborted != nil && !k.held(u.aborted) {
			continue
		}
		k.n++
		again := *u // its acknowledgements are not those of the history
		again.whole, again.parts = &version{there: true}, nil
		sent := true
		for _, p := range u.parts {
			q := *p
			again.parts = append(again.parts, &q)
		}
		for i, p := range u.parts {
			if k.held(&p.ack) {
				k.n++
			} else if err := again.send(ctx, k.c, i); err != nil {
				sent = false
				k.uploadFailed(ctx, u, err)
				break
			}
		}
		if !sent || len(u.parts) == 0 {
			continue
		}
		err := again.finish(ctx, k.c)
		switch {
		case u.aborted != nil:
			if !is(err, "NoSuchUpload") {
				k.wrong("upload %s was aborted; completing it: %v", u.key, err)
			}
		case err != nil:
			k.uploadFailed(ctx, u, err)
		default:
			if tag, b, err := k.c.get(ctx, u.key); err != nil || tag != u.etag() || !k.sameBytes(u.key, u.whole, b) {
				k.wrong("upload %s, completed now: ETag %q, %d bytes, %v", u.key, tag, len(b), err)
			}
			k.done = append(k.done, u)
		}
	}
}

// uploadFailed is right when the upload had been completed, or aborted, though
// nobody was told.
func (k *checking) uploadFailed(ctx context.Context, u *upload, err error) {
	if is(err, "NoSuchUpload") && u.aborted != nil {
		return
	}
	if is(err, "NoSuchUpload") && k.objects[u.key] != nil {
		if tag, b, err := k.c.get(ctx, u.key); err == nil && tag == u.etag() && k.sameBytes(u.key, u.whole, b) {
			return
		}
	}
	k.wrong("upload %s was open: %v", u.key, err)
}

// everyName looks for things, roles and certificates.
func (k *checking) everyName(ctx context.Context) {
	for name := range k.things {
		_, err := k.c.iot.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(name)})
		k.name(k.things, name, err, "ResourceNotFoundException")
	}
	for name := range k.roles {
		_, err := k.c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(name)})
		k.name(k.roles, name, err, "NoSuchEntity")
	}
	for id, a := range k.certs {
		if !k.held(a) {
			continue
		}
		k.n++
		out, err := k.c.iot.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: aws.String(id)})
		if err != nil || out.CertificateDescription.Status != iottypes.CertificateStatusActive {
			k.wrong("certificate %s: %v", id, err)
		}
	}
}

func (k *checking) name(of map[string][]*version, name string, err error, missing string) {
	if err != nil && !is(err, missing) {
		k.wrong("%s: %v", name, err)
		return
	}
	for _, v := range k.allowed(of[name]) {
		if v.there == (err == nil) {
			k.seen = append(k.seen, seen{of, name, v})
			return
		}
	}
	k.wrong("thing or role %s: there %t, and should not be so (%v)", name, err == nil, err)
}

// everyMessage wakes the sleeper: it gets every acknowledged message, those of
// one sender in their order.
func (k *checking) everyMessage(ctx context.Context) {
	if !k.held(&k.sleeper) {
		return
	}
	d, err := k.c.connect(ctx, "sleeper", false)
	if err != nil {
		k.wrong("the sleeper cannot connect: %v", err)
		return
	}
	defer d.close()
	end := fmt.Sprintf("end %d", k.seed.Add(1))
	if _, err := k.c.publish(ctx, "q%2Fend", end); err != nil {
		k.wrong("publish: %v", err)
		return
	}
	got, err := d.until(ctx, end)
	if err != nil {
		k.wrong("the sleeper's messages: %v after %d of them", err, len(got))
	}
	last, now := map[string]int{}, map[string]bool{}
	for _, p := range got {
		if p.TopicName == "q/end" {
			continue // of an earlier check, whose own acknowledgement was lost
		}
		topic, number, _ := strings.Cut(string(p.Payload), " ")
		n, err := strconv.Atoi(number)
		if err != nil || topic != p.TopicName || n >= len(k.sent[topic]) {
			k.wrong("the sleeper got %q on %s, which was never sent", p.Payload, p.TopicName)
			continue
		}
		if before, any := last[topic]; any && n <= before {
			k.wrong("the sleeper got %q after number %d", p.Payload, before)
		}
		last[topic] = n
		now[string(p.Payload)] = true
	}
	for topic, acks := range k.sent {
		for n, a := range acks {
			payload := fmt.Sprintf("%s %d", topic, n)
			if !k.held(a) || k.delivered[payload] {
				continue
			}
			if k.n++; !now[payload] {
				k.wrong("the sleeper never got %q", payload)
			}
		}
	}
	k.woken = now
}

func (k *checking) everyRetained(ctx context.Context) {
	d, err := k.c.connect(ctx, "looker", true)
	if err != nil {
		k.wrong("cannot connect: %v", err)
		return
	}
	defer d.close()
	for topic := range k.retained {
		if err := d.subscribe(ctx, topic, new(ack)); err != nil {
			k.wrong("subscribe: %v", err)
			return
		}
	}
	if err := d.subscribe(ctx, "look", new(ack)); err == nil {
		_, err = k.c.publish(ctx, "look", "end")
	}
	got, err := d.until(ctx, "end")
	if err != nil {
		k.wrong("retained messages: %v", err)
	}
	seen := map[string]int{}
	for _, p := range got {
		topic, number, _ := strings.Cut(string(p.Payload), " ")
		n, err := strconv.Atoi(number)
		if err != nil || topic != p.TopicName || n >= len(k.retained[topic]) {
			k.wrong("retained on %s: %q, which was never sent", p.TopicName, p.Payload)
		}
		seen[topic] = n + 1
	}
	for topic, acks := range k.retained {
		for n, a := range acks {
			if k.held(a) {
				if k.n++; seen[topic] <= n {
					k.wrong("retained on %s: number %d was acknowledged, number %d is there", topic, n, seen[topic]-1)
				}
			}
		}
	}
}

// goesOn: the server does not only remember.
func (k *checking) goesOn(ctx context.Context) {
	if !k.held(&k.sleeper) {
		return
	}
	key, b := "goes-on", []byte("on")
	if _, err := k.c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(b)}); err != nil {
		k.wrong("put afterwards: %v", err)
	} else if _, got, err := k.c.get(ctx, key); err != nil || !bytes.Equal(got, b) {
		k.wrong("get afterwards: %q, %v", got, err)
	}
	if _, err := k.c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key}); err != nil {
		k.wrong("delete afterwards: %v", err)
	}
}
