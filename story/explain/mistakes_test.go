package explain_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"strait"
)

// A mistake is something that people get wrong.
type mistake struct {
	name string
	// says is part of what strait explain has to say of it.
	says string
	// make sets the scene and returns the step, which is refused.
	make func(h *house) (step func() error)
}

// mistakes of those who call with a key.
var mistakes = []mistake{
	{"no policy at all", "no identity policy at all", func(h *house) func() error {
		c, _ := h.user("")
		return func() error { return h.put(c, "a") }
	}},
	{"PutObject on the bucket's ARN alone", "would", func(h *house) func() error {
		c, _ := h.user(doc(allow("s3:PutObject", "arn:aws:s3:::data")))
		return func() error { return h.put(c, "a") }
	}},
	{"ListBucket on the objects", "asked on the bucket itself", func(h *house) func() error {
		c, _ := h.user(doc(allow("s3:ListBucket", "arn:aws:s3:::data/*")))
		return func() error {
			_, err := h.s3(c).ListObjectsV2(h.ctx, &s3.ListObjectsV2Input{Bucket: aws.String("data")})
			return err
		}
	}},
	{"another letter case in the prefix", "Device00", func(h *house) func() error {
		c, _ := h.user(doc(allow("s3:PutObject", "arn:aws:s3:::data/Device00/*")))
		return func() error { return h.put(c, "device00/log") }
	}},
	{"a variable under Version 2008", "aws:username", func(h *house) func() error {
		c, _ := h.user(strings.Replace(doc(allow("s3:PutObject", "arn:aws:s3:::data/${aws:username}/*")), "2012", "2008", 1))
		return func() error { return h.put(c, "user/log") }
	}},
	{"aws:username of a role's session", "only IAM users have it", func(h *house) func() error {
		c, arn := h.user("")
		r := h.role(trusting(arn), doc(allow("s3:PutObject", "arn:aws:s3:::data/${aws:username}/*")))
		return func() error {
			s, err := h.assume(c, r)
			h.must(err)
			return h.put(s, "someone/log")
		}
	}},
	{"a condition on an address", "aws:SourceIp", func(h *house) func() error {
		c, _ := h.user(doc(`{"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}}`))
		return func() error { return h.put(c, "b") }
	}},
	{"permission without trust", "trust policy", func(h *house) func() error {
		_, other := h.user("")
		c, _ := h.user(doc(allow("sts:AssumeRole", "*")))
		r := h.role(trusting(other), "")
		return func() error { _, err := h.assume(c, r); return err }
	}},
	{"trust in the account without permission", "no identity policy at all", func(h *house) func() error {
		c, _ := h.user("")
		r := h.role(trusting(h.place.IAM("root")), "")
		return func() error { _, err := h.assume(c, r); return err }
	}},
	{"a trust that wants an ExternalId", "sts:ExternalId", func(h *house) func() error {
		c, arn := h.user("")
		r := h.role(doc(`{"Effect":"Allow","Principal":{"AWS":"`+string(arn)+`"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"secret"}}}`), "")
		return func() error { _, err := h.assume(c, r); return err }
	}},
	{"tags without TagSession", "sts:TagSession", func(h *house) func() error {
		c, arn := h.user("")
		r := h.role(trusting(arn), "")
		return func() error {
			_, err := h.assume(c, r, func(in *sts.AssumeRoleInput) {
				in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
			})
			return err
		}
	}},
	{"the next role of a chain does not trust the one before", "trust policy", func(h *house) func() error {
		c, arn := h.user("")
		first := h.role(trusting(arn), "")
		second := h.role(trusting(arn), "")
		return func() error {
			s, err := h.assume(c, first)
			h.must(err)
			_, err = h.assume(s, second)
			return err
		}
	}},
	{"a session policy for another prefix", "looks intended", func(h *house) func() error {
		c, arn := h.user("")
		r := h.role(trusting(arn), doc(allow("s3:PutObject", "arn:aws:s3:::data/*")))
		h.session = doc(allow("s3:PutObject", "arn:aws:s3:::data/device00/*"))
		return func() error {
			s, err := h.assume(c, r)
			h.must(err)
			return h.put(s, "device01/log")
		}
	}},
	{"a session policy without the action", "session policy", func(h *house) func() error {
		c, arn := h.user("")
		r := h.role(trusting(arn), doc(allow("s3:*", "*")))
		h.session = doc(allow("s3:GetObject", "arn:aws:s3:::data/*"))
		return func() error {
			s, err := h.assume(c, r)
			h.must(err)
			return h.put(s, "c")
		}
	}},
	{"a session policy cannot widen the role", "identity policy", func(h *house) func() error {
		c, arn := h.user("")
		r := h.role(trusting(arn), doc(allow("s3:GetObject", "*")))
		h.session = doc(allow("s3:*", "*"))
		return func() error {
			s, err := h.assume(c, r)
			h.must(err)
			return h.put(s, "d")
		}
	}},
	{"role and session both too narrow", "2 layers refuse", func(h *house) func() error {
		c, arn := h.user("")
		r := h.role(trusting(arn), doc(allow("s3:GetObject", "*")))
		h.session = doc(allow("s3:GetObject", "*"))
		return func() error {
			s, err := h.assume(c, r)
			h.must(err)
			return h.put(s, "e")
		}
	}},
	{"a permissions boundary", "permissions boundary", func(h *house) func() error {
		c, arn := h.user(doc(allow("s3:*", "*")))
		name := h.name("boundary")
		p, err := h.admin.IAM.CreatePolicy(h.ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: aws.String(doc(allow("s3:Get*", "*")))})
		h.must(err)
		user := string(arn)[strings.LastIndex(string(arn), "/")+1:]
		_, err = h.admin.IAM.PutUserPermissionsBoundary(h.ctx, &iam.PutUserPermissionsBoundaryInput{UserName: &user, PermissionsBoundary: p.Policy.Arn})
		h.must(err)
		return func() error { return h.put(c, "f") }
	}},
	{"no PassRole for a function's role", "iam:PassRole", func(h *house) func() error {
		c, _ := h.user(doc(allow("lambda:*", "*")))
		r := h.role(doc(`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`), "")
		return func() error { return h.createFunction(c, r) }
	}},
	{"a policy of AWS's own, too small", "s3:PutObject", func(h *house) func() error {
		c, arn := h.user("")
		user := string(arn)[strings.LastIndex(string(arn), "/")+1:]
		_, err := h.admin.IAM.AttachUserPolicy(h.ctx, &iam.AttachUserPolicyInput{UserName: &user, PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")})
		h.must(err)
		return func() error { return h.put(c, "g") }
	}},
}

func (h *house) createFunction(c aws.Config, role strait.ARN) error {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "bootstrap"})
	h.must(err)
	_, err = w.Write([]byte("#!/bin/sh\n"))
	h.must(err)
	h.must(z.Close())
	name := h.name("function")
	_, err = lambda.NewFromConfig(c).CreateFunction(h.ctx, &lambda.CreateFunctionInput{FunctionName: &name, Role: aws.String(string(role)),
		Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Code: &lambdatypes.FunctionCode{ZipFile: b.Bytes()}})
	return err
}

func TestMistakes(t *testing.T) {
	h := open(t)
	for _, m := range append(mistakes, deviceMistakes...) {
		t.Run(m.name, func(t *testing.T) {
			defer func(outer *testing.T) { h.t = outer }(h.t)
			h.t, h.session = t, ""
			h.putRight(m)
		})
	}
}

// putRight makes the mistake, reads, obeys, and sees the step pass. What hides
// behind it, if the text lists it only later, may be put right the same way.
func (h *house) putRight(m mistake) {
	h.t.Helper()
	step := m.make(h)
	if err := step(); err == nil {
		h.t.Fatal("the step passed, mistake and all")
	}
	text, err := h.strait("explain", "--last")
	h.must(err)
	if !strings.Contains(text, m.says) {
		h.t.Errorf("strait explain does not say %q:\n%s", m.says, text)
	}
	if h.obey(text) == 0 {
		h.t.Fatalf("strait explain suggests nothing:\n%s", text)
	}
	if err := step(); err != nil {
		again, _ := h.strait("explain", "--last")
		h.t.Errorf("after doing what strait explain said, the step failed: %v\nIt had said:\n%s\nNow it says:\n%s", err, text, again)
	}
}

// A limit is no decision: the answer itself says what to do.
func TestChainOverAnHour(t *testing.T) {
	h := open(t)
	c, arn := h.user("")
	first := h.role(trusting(arn), "")
	second := h.role(trusting(first), "")
	s, err := h.assume(c, first)
	h.must(err)
	long := func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) }
	if _, err = h.assume(s, second, long); err == nil || !strings.Contains(err.Error(), "1 hour session limit for roles assumed by role chaining") {
		t.Fatalf("two hours for a chained role: %v", err)
	}
	_, err = h.assume(s, second, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3600) })
	h.must(err)
}
