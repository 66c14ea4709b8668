package explain_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// This file does what strait explain tells a person to do, and nothing else.

// changeRE finds a suggested change in the text: the document, its layer, and
// the statement that is ready to paste.
var changeRE = regexp.MustCompile(`(?m)^To allow it, add this statement to (.+) \(([a-z ]+)\):\n  (\{.*\})$`)

// obey makes every change that text suggests, and returns how many.
func (h *house) obey(text string) int {
	h.t.Helper()
	changes := changeRE.FindAllStringSubmatch(text, -1)
	for _, c := range changes {
		h.change(c[1], c[2], c[3])
	}
	return len(changes)
}

func (h *house) change(document, layer, statement string) {
	h.t.Helper()
	last := document[strings.LastIndexAny(document, " /")+1:]
	words := strings.Fields(document)
	switch {
	case layer == "session policy":
		h.session = h.with(h.session, statement)
	case layer == "trust policy":
		old, err := h.admin.IAM.GetRole(h.ctx, &iam.GetRoleInput{RoleName: &last})
		h.must(err)
		doc := h.with(h.unescaped(old.Role.AssumeRolePolicyDocument), statement)
		_, err = h.admin.IAM.UpdateAssumeRolePolicy(h.ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &last, PolicyDocument: &doc})
		h.must(err)
	case layer == "resource policy":
		_, bucket, ok := strings.Cut(document, "arn:aws:s3:::")
		if !ok {
			h.t.Fatalf("whose resource policy is %q?", document)
		}
		bucket, _, _ = strings.Cut(bucket, "/")
		have := ""
		if old, err := h.admin.S3.GetBucketPolicy(h.ctx, &s3.GetBucketPolicyInput{Bucket: &bucket}); err == nil {
			have = aws.ToString(old.Policy)
		}
		_, err := h.admin.S3.PutBucketPolicy(h.ctx, &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(h.with(have, statement))})
		h.must(err)
	case strings.HasPrefix(document, "managed policy "): // of an identity, or a boundary
		arn := words[2]
		p, err := h.admin.IAM.GetPolicy(h.ctx, &iam.GetPolicyInput{PolicyArn: &arn})
		h.must(err)
		v, err := h.admin.IAM.GetPolicyVersion(h.ctx, &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: p.Policy.DefaultVersionId})
		h.must(err)
		_, err = h.admin.IAM.CreatePolicyVersion(h.ctx, &iam.CreatePolicyVersionInput{PolicyArn: &arn, SetAsDefault: true,
			PolicyDocument: aws.String(h.with(h.unescaped(v.PolicyVersion.Document), statement))})
		h.must(err)
	case layer == "identity policy":
		h.identity(document, last, statement)
	case layer == "iot policy" && strings.HasPrefix(document, "iot policy "):
		old, err := h.admin.IoT.GetPolicy(h.ctx, &iot.GetPolicyInput{PolicyName: &last})
		h.must(err)
		_, err = h.admin.IoT.CreatePolicyVersion(h.ctx, &iot.CreatePolicyVersionInput{PolicyName: &last, SetAsDefault: true,
			PolicyDocument: aws.String(h.with(aws.ToString(old.PolicyDocument), statement))})
		h.must(err)
	case layer == "iot policy": // an IoT policy attached to a certificate
		name := h.name("suggested")
		_, err := h.admin.IoT.CreatePolicy(h.ctx, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: aws.String(h.with("", statement))})
		h.must(err)
		_, err = h.admin.IoT.AttachPolicy(h.ctx, &iot.AttachPolicyInput{PolicyName: &name, Target: &words[len(words)-1]})
		h.must(err)
	default:
		h.t.Fatalf("a person would not know where to find %q (%s)", document, layer)
	}
}

// identity adds a statement to "inline policy P of user U", or makes "a new
// inline policy of" a user's or role's ARN.
func (h *house) identity(document, last, statement string) {
	h.t.Helper()
	words := strings.Fields(document)
	policy, have := "suggested", ""
	isRole := strings.Contains(document, "role ")
	if words[0] == "inline" {
		policy = words[2]
		if isRole {
			old, err := h.admin.IAM.GetRolePolicy(h.ctx, &iam.GetRolePolicyInput{RoleName: &last, PolicyName: &policy})
			h.must(err)
			have = h.unescaped(old.PolicyDocument)
		} else {
			old, err := h.admin.IAM.GetUserPolicy(h.ctx, &iam.GetUserPolicyInput{UserName: &last, PolicyName: &policy})
			h.must(err)
			have = h.unescaped(old.PolicyDocument)
		}
	}
	doc, err := h.with(have, statement), error(nil)
	if isRole {
		_, err = h.admin.IAM.PutRolePolicy(h.ctx, &iam.PutRolePolicyInput{RoleName: &last, PolicyName: &policy, PolicyDocument: &doc})
	} else {
		_, err = h.admin.IAM.PutUserPolicy(h.ctx, &iam.PutUserPolicyInput{UserName: &last, PolicyName: &policy, PolicyDocument: &doc})
	}
	h.must(err)
}

// with adds a statement to a document, "" for a new one.
func (h *house) with(document, statement string) string {
	h.t.Helper()
	if document == "" {
		return doc(statement)
	}
	var d map[string]json.RawMessage
	h.must(json.Unmarshal([]byte(document), &d))
	var list []json.RawMessage
	if json.Unmarshal(d["Statement"], &list) != nil {
		list = []json.RawMessage{d["Statement"]}
	}
	raw, err := json.Marshal(append(list, json.RawMessage(statement)))
	h.must(err)
	d["Statement"] = raw
	out, err := json.Marshal(d)
	h.must(err)
	return string(out)
}

func (h *house) unescaped(document *string) string {
	h.t.Helper()
	s, err := url.PathUnescape(aws.ToString(document))
	h.must(err)
	return s
}
