package api

import (
	"context"
	"encoding/base64"

	"strait"
	"strait/broker"
)

// Retained messages as IoT Data shows them.

type retainedInput struct {
	Topic string `aws:"path,topic"`
}

type retainedOutput struct {
	Topic    string `json:"topic"`
	Payload  []byte `json:"payload"`
	QoS      byte   `json:"qos"`
	Modified int64  `json:"lastModifiedTime"` // Unix milliseconds
	User     []byte `json:"userProperties"`   // null without any
}

func (k dataDesk) mayGetRetained(_ context.Context, v View, _ *Caller, in *retainedInput) ([]Ask, error) {
	if err := broker.ValidTopic(in.Topic); err != nil {
		return nil, err
	}
	return ask("iot:GetRetainedMessage", rowPublish.arn(v.Place(), in.Topic)), nil
}

func (k dataDesk) getRetained(ctx context.Context, _ Call, in *retainedInput) (*retainedOutput, error) {
	m, err := k.m.Broker.Retained(ctx, in.Topic)
	if err != nil {
		return nil, err
	}
	out := &retainedOutput{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Modified: m.Time.UnixMilli()}
	if m.Properties != nil {
		out.User = encodeUser(m.Properties.User)
	}
	return out, nil
}

type listRetainedInput struct {
	Token string `aws:"query,nextToken"`
	Limit *int   `aws:"query,maxResults"`
}

type retainedSummary struct {
	Topic    string `json:"topic"`
	Size     int    `json:"payloadSize"`
	QoS      byte   `json:"qos"`
	Modified int64  `json:"lastModifiedTime"`
}

type listRetainedOutput struct {
	Topics []retainedSummary `json:"retainedTopics"`
	Token  string            `json:"nextToken,omitempty"`
}

func (k dataDesk) listRetained(ctx context.Context, _ Call, in *listRetainedInput) (*listRetainedOutput, error) {
	if err := dataPage(&in.Limit, 200); err != nil {
		return nil, err
	}
	after, err := base64.StdEncoding.DecodeString(in.Token)
	if err != nil || in.Token != "" && broker.ValidTopic(string(after)) != nil {
		return nil, strait.Errorf(strait.Invalid, "request", "The nextToken is invalid.")
	}
	list, err := k.m.Broker.ListRetained(ctx, string(after), *in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listRetainedOutput{Topics: []retainedSummary{}}
	for i, m := range list {
		if i == *in.Limit {
			out.Token = base64.StdEncoding.EncodeToString([]byte(list[i-1].Topic))
			break
		}
		out.Topics = append(out.Topics, retainedSummary{m.Topic, len(m.Payload), m.QoS, m.Time.UnixMilli()})
	}
	return out, nil
}
