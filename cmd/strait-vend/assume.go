package main

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"strait"
	"strait/vend"
)

// assumer is vend's Assumer on STS.
type assumer struct{ sts *sts.Client }

func (a *assumer) AssumeRole(ctx context.Context, in vend.AssumeInput) (strait.Credentials, error) {
	out, err := a.sts.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String(string(in.RoleARN)), RoleSessionName: &in.SessionName, Policy: &in.Policy,
		DurationSeconds: aws.Int32(int32(in.Duration.Seconds())),
	})
	if err != nil {
		return strait.Credentials{}, inOurWords(err)
	}
	c := out.Credentials
	if c == nil || c.Expiration == nil {
		return strait.Credentials{}, errors.New("STS answered without credentials")
	}
	return strait.Credentials{AccessKeyID: aws.ToString(c.AccessKeyId), SecretAccessKey: aws.ToString(c.SecretAccessKey),
		SessionToken: aws.ToString(c.SessionToken), Expiration: *c.Expiration}, nil
}

// inOurWords tells what will stay wrong from what may pass.
func inOurWords(err error) error {
	var said smithy.APIError
	if !errors.As(err, &said) {
		return err
	}
	kind := strait.Unavailable
	switch said.ErrorCode() {
	case "AccessDenied", "AccessDeniedException":
		kind = strait.Denied
	case "MalformedPolicyDocument", "PackedPolicyTooLarge", "ValidationError":
		kind = strait.Invalid
	}
	return &strait.Error{Kind: kind, Thing: "role", Message: said.ErrorCode() + ": " + said.ErrorMessage(), Err: err}
}
