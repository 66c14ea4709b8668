package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"strait"
	"strait/policy"
)

// A dice makes choices out of bytes: those of the fuzzer, which learns what
// they do, or random ones. With none left it always chooses the first.
type dice struct{ bytes []byte }

func roll(seed uint64, n int) *dice {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return &dice{b}
}

func (d *dice) n(k int) int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b) % k
}

func (d *dice) in(of int) bool { return d.n(of) == 0 }

func (d *dice) of(list ...string) string { return list[d.n(len(list))] }

// some returns one to three of list, or a bare string.
func (d *dice) some(pick func() string) any {
	if d.in(2) {
		return pick()
	}
	out := []string{pick()}
	for range d.n(3) {
		out = append(out, pick())
	}
	return out
}

var (
	diceActions = []string{"s3:PutObject", "s3:GetObject", "iot:Publish", "sts:AssumeRole", "S3:putobject", "iot:Receive", "sts:TagSession", "lambda:InvokeFunction"}
	dicePattern = []string{"s3:PutObject", "s3:*", "*", "s3:Put*", "iot:Publish", "iot:*", "s3:?utObject", "sts:AssumeRole", "S3:PUTOBJECT", "s3:*Object", "iot:Receive", "sts:*", "lambda:InvokeFunction"}
	diceAsked   = []string{
		"arn:aws:s3:::bucket/a", "arn:aws:s3:::bucket/device00/x/y", "arn:aws:s3:::bucket", "arn:aws:iot:r:123456789012:topic/device00",
		"arn:aws:iot:r:123456789012:topic/a:b", "arn:aws:iam::123456789012:role/app/s3-role", "*", "arn:aws:s3:::bucket/é", "arn:aws:s3:::bucket/*", "arn:aws:iot:r:1:topic/dev*",
	}
	diceResource = []string{
		"*", "arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/a", "arn:aws:s3:::bucket/${aws:username}/*", "arn:aws:s3:::bucket/${iot:ClientId}*",
		"arn:aws:iot:*:*:topic/${iot:ClientId}", "arn:aws:iot:r:*:topic/*", "arn:aws:s3:::b?cket/?", "arn:aws:s3:*", "arn:aws:s3:::bucket/${*}",
		"arn:aws:s3:::*/${aws:PrincipalOrgID}", "arn:aws:s3:::bucket/${aws:PrincipalTag/team, 'a'}", "arn:aws:iam::*:role/*", "arn:aws:iot:*:*:topic/a:b",
		"arn:aws:iot:r:123456789012:topic/${iot:Certificate.Subject.CommonName}", "arn:*:s3:::bucket*", "arn:aws:s3:::*a*", "arn:aws:s3:::bucket/*/${iot:ClientId}/?",
		"arn:aws:iot:*:*:topic/device00", "arn:aws:s3:::${$}bucket/a", "arn:aws:s3:::bucket/${iot:ClientId}/*/?",
	}
	diceKeys   = []string{"aws:username", "iot:ClientId", "aws:PrincipalTag/team", "aws:SourceArn", "aws:SourceIp", "s3:max-keys", "aws:CurrentTime", "aws:SecureTransport", "aws:TagKeys", "aws:PrincipalOrgID", "AWS:USERNAME", "iot:Certificate.Subject.CommonName", "aws:EpochTime"}
	diceValues = []string{
		"a", "A", "device00", "dev*", "*", "device0?", "${aws:username}", "${iot:ClientId}", "${aws:PrincipalOrgID}", "true", "FALSE", "5", "10", "-1e2", "10.0.0.0/8", "10.0.0.1",
		"2001:db8::/32", "2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z", "1772366400", "arn:aws:iot:r:123456789012:rule/*", "arn:aws:*:*:*:${iot:ClientId}", "YQ==", "nonsense", "${aws:PrincipalTag/team, 'a'}", "arn:aws:s3:::bucket", "red",
	}
	diceFound = []string{"a", "A", "device00", "device01", "dev*", "true", "false", "5", "10", "10.0.0.1", "192.168.0.1", "2001:db8::1", "2026-03-01T12:00:00Z", "1772366400", "arn:aws:iot:r:123456789012:rule/x", "arn:aws:s3:::bucket", "YQ==", "nonsense", "red", ""}
	diceOps   = []string{
		"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
		"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
		"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
		"Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "Null",
	}
	dicePrincipals = []string{
		"*", "123456789012", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:user/alice", "arn:aws:iam::123456789012:role/app/s3-role",
		"arn:aws:sts::123456789012:assumed-role/s3-role/device00", "AROAEXAMPLEROLE00001", "AIDAEXAMPLEUSER00001", "999999999999", "arn:aws:iam::123456789012:user/bob",
	}
	diceWho = []string{"session", "alice", "cert", "service:iot.amazonaws.com", "anonymous", "root", "fn", "bob"}
)

// document writes one policy.
func (d *dice) document(kind policy.Kind) string {
	var list []any
	for range 1 + d.n(3) {
		list = append(list, d.statement(kind))
	}
	doc := map[string]any{"Statement": list}
	if len(list) == 1 && d.in(2) {
		doc["Statement"] = list[0]
	}
	switch v := d.n(4); {
	case v < 3:
		doc["Version"] = "2012-10-17"
	case kind != policy.IoT && d.in(2):
		doc["Version"] = "2008-10-17"
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (d *dice) statement(kind policy.Kind) map[string]any {
	st := map[string]any{"Effect": "Allow"}
	if d.n(4) == 3 {
		st["Effect"] = "Deny"
	}
	action, not := func() string { return d.of(dicePattern...) }, d.n(8) == 7
	if kind == policy.Trust {
		action, not = func() string { return d.of("sts:AssumeRole", "sts:*", "sts:TagSession", "STS:assumerole") }, false
	}
	if not {
		st["NotAction"] = d.some(action)
	} else {
		st["Action"] = d.some(action)
	}
	if kind != policy.Trust {
		pick := func() string {
			for {
				if r := d.of(diceResource...); kind != policy.Bucket || r == "*" || strings.Count(r, ":") >= 5 {
					return r
				}
			}
		}
		if d.n(8) == 7 {
			st["NotResource"] = d.some(pick)
		} else {
			st["Resource"] = d.some(pick)
		}
	}
	if kind == policy.Trust || kind == policy.Bucket {
		who := map[string]any{"AWS": d.some(func() string { return d.of(dicePrincipals...) })}
		switch d.n(8) {
		case 5:
			who = map[string]any{"Service": "iot.amazonaws.com"}
		case 6:
			who["Service"] = d.some(func() string { return d.of("lambda.amazonaws.com", "iot.amazonaws.com") })
		case 7:
			if kind == policy.Bucket {
				who["CanonicalUser"] = "0123456789abcdef"
			}
		}
		st["Principal"] = who
		if kind == policy.Bucket && st["Effect"] == "Deny" && d.in(3) {
			st["NotPrincipal"] = who
			delete(st, "Principal")
		}
	}
	if d.n(2) == 1 {
		conditions := map[string]any{}
		for range 1 + d.n(2) {
			op := d.of(diceOps...)
			if op != "Null" {
				op = d.of("", "", "", "ForAllValues:", "ForAnyValue:") + op + d.of("", "", "IfExists")
			}
			conditions[op] = map[string]any{d.of(diceKeys...): d.some(func() string { return d.of(diceValues...) })}
		}
		st["Condition"] = conditions
	}
	return st
}

func (d *dice) context() policy.Context {
	c := policy.Context{}
	for range d.n(7) {
		key := d.of(diceKeys[:9]...)
		if d.in(6) {
			key = "iot:Certificate.Subject.CommonName"
		}
		values := []string{d.of(diceFound...)}
		if d.n(5) == 4 {
			values = append(values, d.of(diceFound...))
		}
		if d.n(12) == 11 {
			values = nil
		}
		c.Set(key, values...)
	}
	return c
}

// A throw is a generated question, and its documents as texts.
type throw struct {
	layers  layers
	set     policy.Set
	request policy.Request
}

func (d *dice) throw(t testing.TB) throw {
	var w throw
	make := func(kind policy.Kind, most int) (pages []page, docs []*policy.Document) {
		for i := range d.n(most + 1) {
			text := d.document(kind)
			pages = append(pages, read(text))
			docs = append(docs, parse(t, kind, fmt.Sprint(kind, i), text))
		}
		return pages, docs
	}
	l, s := &w.layers, &w.set
	w.request = d.request(t)
	l.iot, s.IoT = make(policy.IoT, 2)
	l.identity, s.Identity = make(policy.Identity, 2)
	l.resource, s.Resource = make(policy.Bucket, 2)
	if d.in(2) {
		l.session, s.Session = make(policy.Session, 2)
		l.hasSession, s.HasSession = true, true
	}
	if d.in(3) {
		l.boundary, s.Boundary = make(policy.Boundary, 1)
		l.hasBoundary, s.HasBoundary = true, true
	}
	if strings.HasPrefix(strings.ToLower(string(w.request.Action)), "sts:") || d.n(16) == 15 {
		l.trust, s.Trust = make(policy.Trust, 2)
		l.hasTrust, s.HasTrust = true, true
	}
	if d.n(16) == 15 {
		l.narrow, s.NarrowDirect = true, true
	}
	return w
}

func (d *dice) request(t testing.TB) policy.Request {
	return policy.Request{
		Principal: principal(t, d.of(diceWho...)), Action: strait.Action(d.of(diceActions...)),
		Resource: strait.ARN(d.of(diceAsked...)), Context: d.context(),
	}
}

func (w throw) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\nboundary %t, session %t, trust %t, narrow %t\n", w.request, w.set.HasBoundary, w.set.HasSession, w.set.HasTrust, w.set.NarrowDirect)
	for _, list := range [][]*policy.Document{w.set.Identity, w.set.Boundary, w.set.Session, w.set.Resource, w.set.Trust, w.set.IoT} {
		for _, d := range list {
			fmt.Fprintf(&b, "%s: %s\n", d.Name, d.Text())
		}
	}
	return b.String()
}
