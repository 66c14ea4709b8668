package explain_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
)

// Every service refuses in AWS's words of today, and with the id of a decision
// that strait explain knows.
func TestWords(t *testing.T) {
	h := open(t)
	c, arn := h.user("")
	role := h.role(trusting(arn), doc(allow("*", "*")))
	h.session = doc(allow("sts:GetCallerIdentity", "*"))
	narrow, err := h.assume(c, role)
	h.must(err)
	h.session = ""
	closed := h.role(doc(`{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}`), "")
	denied, deniedARN := h.user(doc(allow("*", "*") + `,{"Effect":"Deny","Action":"iam:CreateUser","Resource":"*"}`))
	user := "User: " + string(arn) + " is not authorized to perform: "
	session := "User: " + string(h.place.STS("assumed-role/"+role.Resource()[len("role/"):]+"/someone")) + " is not authorized to perform: "
	for _, x := range []struct {
		name, code, words string
		call              func() error
	}{
		{"S3", "AccessDenied", user + `s3:PutObject on resource: "arn:aws:s3:::data/a" because no identity-based policy allows the s3:PutObject action`,
			func() error { return h.put(c, "a") }},
		{"S3, a session", "AccessDenied", session + `s3:PutObject on resource: "arn:aws:s3:::data/a" because no session policy allows the s3:PutObject action`,
			func() error { return h.put(narrow, "a") }},
		{"STS", "AccessDenied", user + "sts:AssumeRole on resource: " + string(closed) + " because no role trust policy allows the sts:AssumeRole action",
			func() error { _, err := h.assume(c, closed); return err }},
		{"IAM", "AccessDenied", user + "iam:CreateUser on resource: " + string(h.place.IAM("user/x")) + " because no identity-based policy allows the iam:CreateUser action",
			func() error {
				_, err := iam.NewFromConfig(c).CreateUser(h.ctx, &iam.CreateUserInput{UserName: aws.String("x")})
				return err
			}},
		{"IAM, an explicit deny", "AccessDenied", "User: " + string(deniedARN) + " is not authorized to perform: iam:CreateUser on resource: " + string(h.place.IAM("user/x")) + " with an explicit deny in an identity-based policy",
			func() error {
				_, err := iam.NewFromConfig(denied).CreateUser(h.ctx, &iam.CreateUserInput{UserName: aws.String("x")})
				return err
			}},
		{"IoT", "AccessDeniedException", user + "iot:CreateThing on resource: " + string(h.place.IoT("thing/x")) + " because no identity-based policy allows the iot:CreateThing action",
			func() error {
				_, err := iot.NewFromConfig(c).CreateThing(h.ctx, &iot.CreateThingInput{ThingName: aws.String("x")})
				return err
			}},
		{"Lambda", "AccessDeniedException", user + "lambda:InvokeFunction on resource: " + string(h.place.Lambda("f")) + " because no identity-based policy allows the lambda:InvokeFunction action",
			func() error {
				_, err := lambda.NewFromConfig(c).Invoke(h.ctx, &lambda.InvokeInput{FunctionName: aws.String("f")})
				return err
			}},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := x.call()
			var said smithy.APIError
			if !errors.As(err, &said) || said.ErrorCode() != x.code || said.ErrorMessage() != x.words {
				t.Fatalf("got  %v\nwant %s: %s", err, x.code, x.words)
			}
			var answer *awshttp.ResponseError
			if !errors.As(err, &answer) {
				t.Fatal(err)
			}
			id := answer.Response.Header.Get("X-Strait-Decision-Id")
			if text, err := h.strait("explain", id); id == "" || err != nil || !strings.Contains(text, id) {
				t.Errorf("the decision %q: %v\n%s", id, err, text)
			}
		})
	}
}
