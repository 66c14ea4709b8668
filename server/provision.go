package server

import (
	"context"
	"time"

	"strait"
	"strait/api"
)

// provisioningSession is how long the session of a template's role lives.
const provisioningSession = 15 * time.Minute

// takeForProvisioning lets iot.amazonaws.com take the role of a provisioning
// template.
func (s *Server) takeForProvisioning(role, source strait.ARN, trace string) (api.Caller, error) {
	return s.as("iot.amazonaws.com", source, role, "provisioning", trace, provisioningSession)
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
