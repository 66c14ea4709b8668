// Package vend is the decision of the upload pattern: the name of a thing
// goes in, credentials that can write below that name and nowhere else come
// out, on the thing's own topic. The same code runs inside Strait and, as
// cmd/strait-vend, on AWS Lambda.
//
// It knows neither AWS's SDKs nor Strait's rooms: whoever runs it hands in an
// Assumer and a Publisher. It keeps no state and logs nothing. Begin at
// Vendor.Vend.
//
// The name comes from the topic, by the rule, never from the device's payload.
// What the device may say (purpose, duration) can only narrow.
package vend

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"strait"
)

// Version is the version of this decision; the file strait-native of a zip
// says "vend " and this, and the built-in one runs only when they agree.
const Version = "1"

// An AssumeInput asks for a session of a role.
type AssumeInput struct {
	RoleARN     strait.ARN
	SessionName string
	Policy      string // the session policy, JSON
	Duration    time.Duration
}

// An Assumer is STS AssumeRole, called as the function's execution role.
type Assumer interface {
	AssumeRole(ctx context.Context, in AssumeInput) (strait.Credentials, error)
}

// A Publisher is IoT Data Publish, called as the function's execution role.
type Publisher interface {
	Publish(ctx context.Context, topic string, payload []byte, qos byte) error
}

// A Vendor decides and answers.
type Vendor struct {
	Config    Config
	Assumer   Assumer
	Publisher Publisher
}

// A Reply is what the device gets on its topic: credentials and what they are
// good for, or a refusal.
type Reply struct {
	AccessKeyID     string     `json:"AccessKeyId,omitempty"`
	SecretAccessKey string     `json:"SecretAccessKey,omitempty"`
	SessionToken    string     `json:"SessionToken,omitempty"`
	Expiration      *time.Time `json:"Expiration,omitempty"`
	Bucket          string     `json:"Bucket,omitempty"`
	Prefix          string     `json:"Prefix,omitempty"` // ends with a slash
	Region          string     `json:"Region,omitempty"`
	Endpoint        string     `json:"Endpoint,omitempty"` // of S3; absent: AWS's own
	Error           *Refusal   `json:"error,omitempty"`
	ClientToken     string     `json:"clientToken,omitempty"`
}

// A Refusal says why there are no credentials.
type Refusal struct {
	Code    string `json:"code"` // "InvalidRequest", "AccessDenied" or "TemporaryFailure"
	Message string `json:"message"`
}

// Vend handles one event: it assumes the role, narrowed to the thing's prefix,
// and publishes the credentials to "<thing>/token/res" with QoS 1. The result
// names what was done and holds no secret.
//
// A request that is wrong is answered with a refusal and is no error: trying
// again would not help. A name that is no thing's is an error and nothing is
// published. When the role cannot be assumed the device is told so, and the
// error is returned for the function's log and retries.
func (v *Vendor) Vend(ctx context.Context, event []byte) (result []byte, err error) {
	req, err := ParseEvent(event)
	if err != nil {
		if req.Name == "" {
			return nil, err
		}
		return v.refuse(ctx, req, "InvalidRequest", err)
	}
	// 1. Narrow the role to what this thing asked for.
	prefix := req.Prefix()
	creds, err := v.Assumer.AssumeRole(ctx, AssumeInput{
		RoleARN:     v.Config.RoleARN,
		SessionName: SessionName(req.Name),
		Policy:      SessionPolicy(v.Config.Bucket, prefix, v.Config.Strict),
		Duration:    min(req.Duration, v.Config.Duration),
	})
	if err != nil {
		return nil, v.failed(ctx, req, err)
	}
	// 2. Hand them to the thing, and to nobody else.
	expires := creds.Expiration.UTC().Truncate(time.Second)
	err = v.publish(ctx, req, Reply{
		AccessKeyID: creds.AccessKeyID, SecretAccessKey: creds.SecretAccessKey, SessionToken: creds.SessionToken,
		Expiration: &expires, Bucket: v.Config.Bucket, Prefix: prefix, Region: v.Config.Region, Endpoint: v.Config.Endpoint,
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"name": req.Name, "prefix": prefix, "accessKeyId": creds.AccessKeyID,
		"expiration": expires.Format(time.RFC3339)})
}

func (v *Vendor) refuse(ctx context.Context, req Request, code string, why error) ([]byte, error) {
	if err := v.publish(ctx, req, Reply{Error: &Refusal{code, why.Error()}}); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"name": req.Name, "refused": code, "message": why.Error()})
}

// failed tells the device, without the cause: it names roles and policies,
// which are not the device's business.
func (v *Vendor) failed(ctx context.Context, req Request, cause error) error {
	r := Refusal{"TemporaryFailure", "the credentials could not be made now; try again later"}
	switch strait.KindOf(cause) {
	case strait.Denied, strait.Invalid, strait.TooLarge, strait.NotFound, strait.Unauthenticated:
		r = Refusal{"AccessDenied", "the vending function may not assume the upload role for this thing"}
	}
	cause = fmt.Errorf("assume %s for thing %s: %w", v.Config.RoleARN, req.Name, cause)
	if err := v.publish(ctx, req, Reply{Error: &r}); err != nil {
		return fmt.Errorf("%w (and the refusal could not be told: %v)", cause, err)
	}
	return cause
}

func (v *Vendor) publish(ctx context.Context, req Request, reply Reply) error {
	reply.ClientToken = req.ClientToken
	payload, err := json.Marshal(reply)
	if err != nil {
		return fmt.Errorf("write reply: %w", err)
	}
	topic := req.Name + "/token/res"
	if err := v.Publisher.Publish(ctx, topic, payload, 1); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}
