package api

import (
	"context"
	"strings"

	"strait"
	"strait/rule"
)

// destinations are the rows of where HTTP actions of topic rules may post
// (iot-control-plane.md, section 6).
func (k iotDesk) destinations() []Operation {
	return []Operation{
		op("CreateTopicRuleDestination", "POST /destinations", on[createDestinationInput]("iot:CreateTopicRuleDestination", "*"), k.createDestination),
		op("ListTopicRuleDestinations", "GET /destinations", on[listDestinationsInput]("iot:ListTopicRuleDestinations", "*"), k.listDestinations),
		op("UpdateTopicRuleDestination", "PATCH /destinations", k.onDestinationOf("iot:UpdateTopicRuleDestination"), k.updateDestination),
		op("GetTopicRuleDestination", "GET /destinations/{arn+}", k.onDestination("iot:GetTopicRuleDestination"), k.getDestination),
		op("DeleteTopicRuleDestination", "DELETE /destinations/{arn+}", k.onDestination("iot:DeleteTopicRuleDestination"), k.deleteDestination),
		// The token is what allows it: the destination shows that it got it.
		op[confirmInput, Nothing]("ConfirmTopicRuleDestination", "GET /confirmdestination/{confirmationToken+}", nil, k.confirmDestination).open(),
	}
}

type createDestinationInput struct {
	Configuration struct {
		HTTP *struct {
			ConfirmationURL string `json:"confirmationUrl"`
		} `json:"httpUrlConfiguration"`
		VPC *struct{} `json:"vpcConfiguration"`
	} `json:"destinationConfiguration"`
}

type destination struct {
	ARN     strait.ARN `json:"arn"`
	Status  string     `json:"status"`
	Created Epoch      `json:"createdAt"`
	Updated Epoch      `json:"lastUpdatedAt"`
	Reason  string     `json:"statusReason,omitempty"`
	HTTP    struct {
		ConfirmationURL string `json:"confirmationUrl"`
	} `json:"httpUrlProperties"`
}

type destinationOutput struct {
	Destination destination `json:"topicRuleDestination"`
}

const destinationResource = "ruledestination/http/"

func (k iotDesk) destinationOf(d rule.Destination) *destinationOutput {
	out := &destinationOutput{destination{ARN: k.directory.Place().IoT(destinationResource + d.ID), Status: d.Status, Created: Epoch(d.Created), Updated: Epoch(d.Updated), Reason: d.Reason}}
	out.Destination.HTTP.ConfirmationURL = d.URL
	return out
}

func (k iotDesk) createDestination(ctx context.Context, _ Call, in *createDestinationInput) (*destinationOutput, error) {
	if in.Configuration.VPC != nil || in.Configuration.HTTP == nil {
		return nil, strait.Errorf(strait.Invalid, "request", "A destination needs an httpUrlConfiguration; VPC destinations are not offered.")
	}
	d, err := k.rules.CreateDestination(ctx, in.Configuration.HTTP.ConfirmationURL)
	if err != nil {
		return nil, err
	}
	return k.destinationOf(d), nil
}

type listDestinationsInput struct {
	Token string `aws:"query,nextToken"`
	Limit *int   `aws:"query,maxResults"`
}

type destinationSummary struct {
	ARN     strait.ARN `json:"arn"`
	Status  string     `json:"status"`
	Created Epoch      `json:"createdAt"`
	Updated Epoch      `json:"lastUpdatedAt"`
	Reason  string     `json:"statusReason,omitempty"`
	HTTP    struct {
		ConfirmationURL string `json:"confirmationUrl"`
	} `json:"httpUrlSummary"`
}

type listDestinationsOutput struct {
	Summaries []destinationSummary `json:"destinationSummaries"`
	Token     string               `json:"nextToken,omitempty"`
}

func (k iotDesk) listDestinations(ctx context.Context, _ Call, in *listDestinationsInput) (*listDestinationsOutput, error) {
	all, err := k.rules.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	ds, token, err := page(all, func(d rule.Destination) string { return d.ID }, in.Token, in.Limit)
	out := &listDestinationsOutput{Summaries: []destinationSummary{}, Token: token}
	for _, d := range ds {
		out.Summaries = append(out.Summaries, destinationSummary(k.destinationOf(d).Destination))
	}
	return out, err
}

type destinationInput struct {
	ARN strait.ARN `aws:"path,arn"`
}

type updateDestinationInput struct {
	ARN    strait.ARN `json:"arn"`
	Status string     `json:"status"`
}

// destinationID is the id behind an ARN of a destination here.
func destinationID(p strait.Place, arn strait.ARN) (string, error) {
	id, found := strings.CutPrefix(string(arn), string(p.IoT(destinationResource)))
	if !found || id == "" {
		return "", strait.Errorf(strait.Invalid, "request", "The ARN is not one of an HTTP destination here.")
	}
	return id, nil
}

func (k iotDesk) onDestination(action strait.Action) func(context.Context, View, *Caller, *destinationInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *destinationInput) ([]Ask, error) {
		_, err := destinationID(v.Place(), in.ARN)
		return ask(action, in.ARN), err
	}
}

func (k iotDesk) onDestinationOf(action strait.Action) func(context.Context, View, *Caller, *updateDestinationInput) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *updateDestinationInput) ([]Ask, error) {
		_, err := destinationID(v.Place(), in.ARN)
		return ask(action, in.ARN), err
	}
}

func (k iotDesk) getDestination(ctx context.Context, _ Call, in *destinationInput) (*destinationOutput, error) {
	id, err := destinationID(k.directory.Place(), in.ARN)
	if err != nil {
		return nil, err
	}
	d, err := k.rules.Destination(ctx, id)
	if err != nil {
		return nil, err
	}
	return k.destinationOf(d), nil
}

func (k iotDesk) updateDestination(ctx context.Context, _ Call, in *updateDestinationInput) (*Nothing, error) {
	id, err := destinationID(k.directory.Place(), in.ARN)
	if err != nil {
		return nil, err
	}
	return nil, k.rules.SetDestination(ctx, id, in.Status)
}

func (k iotDesk) deleteDestination(ctx context.Context, _ Call, in *destinationInput) (*Nothing, error) {
	id, err := destinationID(k.directory.Place(), in.ARN)
	if err != nil {
		return nil, err
	}
	return nil, k.rules.DeleteDestination(ctx, id)
}

type confirmInput struct {
	Token string `aws:"path,confirmationToken"`
}

func (k iotDesk) confirmDestination(ctx context.Context, _ Call, in *confirmInput) (*Nothing, error) {
	return nil, k.rules.ConfirmDestination(ctx, in.Token)
}
