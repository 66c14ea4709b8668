package api

import (
	"context"

	"strait"
	"strait/identity/template"
)

type registerThingInput struct {
	Body       string            `json:"templateBody"`
	Parameters map[string]string `json:"parameters"`
}

type registerThingOutput struct {
	PEM       string                `json:"certificatePem"`
	Resources map[string]strait.ARN `json:"resourceArns"`
}

// registerThing provisions one device by a template of the request. The caller
// needs the permissions for all that is made, for there is no role; that AWS
// asks for them, too, is not documented.
func (k iotDesk) registerThing(ctx context.Context, c Call, in *registerThingInput) (*registerThingOutput, error) {
	t, err := template.Parse(in.Body)
	if err != nil {
		return nil, err
	}
	plan, err := t.Plan(in.Parameters)
	if err != nil {
		return nil, err
	}
	done, err := k.provisioner.carryOut(ctx, c.Caller, plan)
	if err != nil {
		return nil, err
	}
	return &registerThingOutput{done.Certificate.PEM, done.Resources}, nil
}
