package server

import (
	"context"
	"time"

	"strait"
	"strait/api"
	"strait/authz"
	"strait/credential"
)

// provisioningSession is how long the session of a template's role lives.
const provisioningSession = 15 * time.Minute

// takeForProvisioning lets iot.amazonaws.com take the role of a provisioning
// template, if the role's trust policy lets it. No token is made: it never
// leaves here.
func (s *Server) takeForProvisioning(role, source strait.ARN, trace string) (api.Caller, error) {
	known := s.directory.RoleByARN(role)
	if known == nil {
		return api.Caller{}, strait.Errorf(strait.NotFound, "role", "the role %s does not exist", role)
	}
	c := s.directory.Service("iot.amazonaws.com", source, trace)
	if _, err := s.authorizer.Ask(&c, "AssumeRole", authz.Ask{Action: "sts:AssumeRole", Resource: role}); err != nil {
		return api.Caller{}, err
	}
	now := s.cfg.Now()
	session := credential.Session{
		Kind: strait.AssumedRole, RoleID: known.ID, RoleARN: role, Name: "provisioning", Trace: trace, Issued: now, Expires: now.Add(provisioningSession),
	}
	return api.Caller{Principal: s.directory.ForSession(&session), Session: &session, Trace: trace, Secure: true}, nil
}

// invokeHook runs a pre-provisioning hook, which must permit iot.amazonaws.com.
func (s *Server) invokeHook(ctx context.Context, function, source strait.ARN, payload []byte, trace string) ([]byte, error) {
	c := s.directory.Service("iot.amazonaws.com", source, trace)
	out, err := s.corridor.Serve(ctx, &c, s.lambda.Find("Invoke"), func(in any) error {
		i := in.(*api.InvokeInput)
		i.FunctionName, i.Payload = string(function), payload
		return nil
	})
	if err != nil {
		return nil, err
	}
	answer := out.(*api.InvokeOutput)
	if answer.Failure != "" {
		return nil, strait.Errorf(strait.Invalid, "answer", "the function failed (%s)", answer.Failure)
	}
	return answer.Response, nil
}
