package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"strait"
	"strait/api"
	"strait/broker"
	"strait/rule"
)

// ruleHands do what topic rules want done, through the corridor: as a session
// of the role that the rule names, or, for functions, as the service itself.
type ruleHands struct{ s *Server }

// ruleSession is how long the session of a rule's action may live.
const ruleSession = time.Hour

// as lets iot.amazonaws.com take role for the rule.
func (h ruleHands) as(role strait.ARN, r rule.Rule, trace string) (api.Caller, error) {
	name := "rule-" + r.Name // a rule's name may be too short for a session's
	return h.s.as("iot.amazonaws.com", h.s.cfg.Place.IoT("rule/"+r.Name), role, name, trace, ruleSession)
}

// Act is rule.Actor.
func (h ruleHands) Act(ctx context.Context, r rule.Rule, t rule.Task) error {
	if t.Action.HTTP != nil {
		return h.send(ctx, t) // it has no role; the destination was confirmed
	}
	c, err := h.as(t.Action.Role(), r, t.Trace)
	if err != nil {
		return err
	}
	switch a := t.Action; {
	case a.Republish != nil:
		topic := a.Republish.Topic
		if strings.HasPrefix(topic, "$$") {
			topic = topic[1:]
		}
		_, err = h.s.corridor.Serve(ctx, &c, h.s.iotdata.Find("Publish"), api.Republish(topic, t.Payload, a.Republish.QoS, t.Hops, propertiesFrom(a.Republish.Headers)))
	case a.S3 != nil:
		kind := "application/octet-stream"
		if t.JSON {
			kind = "application/json" // AWS's is not documented
		}
		_, err = h.s.corridor.Serve(ctx, &c, h.s.s3.Find("PutObject"), api.PutBytes(a.S3.Bucket, a.S3.Key, kind, t.Payload))
	case a.Logs != nil:
		err = h.write(ctx, &c, r, t)
	default:
		err = strait.Errorf(strait.Unsupported, "action", "this action is not offered here")
	}
	return err
}

// Offers is rule.Asker.
func (h ruleHands) Offers(function string) bool {
	return function == "aws_lambda" || function == "get_thing_shadow" || function == "get_registry_data DescribeThing"
}

// Answer is rule.Asker.
func (h ruleHands) Answer(ctx context.Context, r rule.Rule, q rule.Question, trace string) ([]byte, error) {
	if q.Function == "aws_lambda" {
		return h.call(ctx, r, q, trace)
	}
	c, err := h.as(q.Role, r, trace)
	if err != nil {
		return nil, err
	}
	if q.Function == "get_thing_shadow" {
		out, err := h.s.corridor.Serve(ctx, &c, h.s.iotdata.Find("GetThingShadow"), api.OfShadow(q.Thing, q.Shadow))
		if err != nil {
			return nil, err
		}
		return out.(*api.ShadowOutput).Document, nil
	}
	if q.API != "DescribeThing" {
		return nil, strait.Errorf(strait.Unsupported, "sql", "%s() is not offered here", q.Function)
	}
	out, err := h.s.corridor.Serve(ctx, &c, h.s.iot.Find(q.API), api.OfThing(q.Thing))
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// call runs a function and waits for what it returns.
func (h ruleHands) call(ctx context.Context, r rule.Rule, q rule.Question, trace string) ([]byte, error) {
	c := h.s.directory.Service("iot.amazonaws.com", h.s.cfg.Place.IoT("rule/"+r.Name), trace)
	out, err := h.s.corridor.Serve(ctx, &c, h.s.lambda.Find("Invoke"), func(in any) error {
		i := in.(*api.InvokeInput)
		i.FunctionName, i.Payload = string(q.ARN), q.Payload
		return nil
	})
	if err != nil {
		return nil, err
	}
	answer := out.(*api.InvokeOutput)
	if answer.Failure != "" {
		return nil, strait.Errorf(strait.Invalid, "answer", "the function %s failed", q.ARN)
	}
	return answer.Response, nil
}

// propertiesOf is what a rule sees of a message's properties.
func propertiesOf(p *broker.Properties) *rule.Properties {
	if p == nil {
		return nil
	}
	out := &rule.Properties{ContentType: p.ContentType, ResponseTopic: p.ResponseTopic, Correlation: p.Correlation, Text: p.Format == 2}
	for _, u := range p.User {
		out.User = append(out.User, rule.UserProperty{Name: u[0], Value: u[1]})
	}
	return out
}

// propertiesFrom are those that a republish action gives its message; the rule
// has been checked.
func propertiesFrom(h *rule.Headers) *broker.Properties {
	if h == nil {
		return nil
	}
	out := &broker.Properties{ContentType: h.ContentType, ResponseTopic: h.ResponseTopic}
	switch h.Format {
	case "UNSPECIFIED_BYTES":
		out.Format = 1
	case "UTF8_DATA":
		out.Format = 2
	}
	if h.Correlation != "" {
		out.Correlation, _ = base64.StdEncoding.DecodeString(h.Correlation)
	}
	seconds, _ := strconv.ParseUint(h.Expiry, 10, 32)
	out.Expiry = uint32(seconds)
	for _, u := range h.User {
		out.User = append(out.User, [2]string{u.Key, u.Value})
	}
	return out
}
