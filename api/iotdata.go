package api

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"strait"
	"strait/broker"
)

// IoTData returns the table of the IoT data plane (iot-shadow-and-data.md,
// section 6).
func IoTData(m *MQTT) Service {
	k := dataDesk{m}
	return Service{
		Name: "iotdata", Scopes: []string{"iotdata", "iotdevicegateway"}, Protocol: "rest-json",
		Operations: append([]Operation{
			op("Publish", "POST /topics/{topic+}", k.mayPublish, k.publish),
			op("GetRetainedMessage", "GET /retainedMessage/{topic+}", k.mayGetRetained, k.getRetained),
			op("ListRetainedMessages", "GET /retainedMessage", on[listRetainedInput]("iot:ListRetainedMessages", "*"), k.listRetained),
			op("GetConnection", "GET /connections/{clientId}", onClient("iot:GetConnection", (*connectionInput).read), k.getConnection),
			op("ListSubscriptions", "GET /connections/{clientId}/subscriptions", onClient("iot:ListSubscriptions", (*subscriptionsInput).read), k.listSubscriptions),
			op("DeleteConnection", "DELETE /connections/{clientId}", onClient("iot:DeleteConnection", (*removeConnectionInput).read), k.deleteConnection),
			op("SendDirectMessage", "POST /connections/{clientId}/messages", onClient("iot:SendDirectMessage", (*directInput).read), k.sendDirectMessage),
		}, k.shadows()...),
	}
}

type dataDesk struct{ m *MQTT }

// PublishInput asks for a message to be published.
type PublishInput struct {
	Topic   string `aws:"path,topic"`
	QoS     string `aws:"query,qos"`
	Retain  string `aws:"query,retain"`
	Payload []byte `aws:"payload"`
	// What MQTT 5 says beside a payload.
	ContentType   string `aws:"query,contentType"`
	ResponseTopic string `aws:"query,responseTopic"`
	Expiry        string `aws:"query,messageExpiry"`
	User          string `aws:"header,x-amz-mqtt5-user-properties"`
	Format        string `aws:"header,x-amz-mqtt5-payload-format-indicator"`
	Correlation   string `aws:"header,x-amz-mqtt5-correlation-data"`

	// See Republish; nothing that comes from outside can set them.
	hops       int
	properties *broker.Properties
}

// Republish reads a message that a topic rule makes of another one.
func Republish(topic string, payload []byte, qos, hops int, with *broker.Properties) func(in any) error {
	return func(in any) error {
		i := in.(*PublishInput)
		i.Topic, i.Payload, i.QoS, i.hops, i.properties = topic, payload, strconv.Itoa(qos), hops, with
		return nil
	}
}

type publishOutput struct {
	Message string `json:"message"`
	TraceID string `json:"traceId"`
}

func (in *PublishInput) flags() (qos byte, retain bool, err error) {
	if in.QoS != "" && in.QoS != "0" && in.QoS != "1" {
		return 0, false, strait.Errorf(strait.Invalid, "request", "qos must be 0 or 1")
	}
	if in.Retain != "" {
		if retain, err = strconv.ParseBool(in.Retain); err != nil {
			return 0, false, strait.Errorf(strait.Invalid, "request", "retain must be true or false")
		}
	}
	if in.QoS == "1" {
		qos = 1
	}
	return qos, retain, nil
}

// with returns the properties of the message.
func (in *PublishInput) with() (*broker.Properties, error) {
	if in.properties != nil {
		return in.properties, nil
	}
	return headers{in.ContentType, in.ResponseTopic, in.Expiry, in.User, in.Format, in.Correlation}.properties()
}

// mayPublish asks the same rows as MQTT does.
func (k dataDesk) mayPublish(_ context.Context, v View, _ *Caller, in *PublishInput) ([]Ask, error) {
	_, retain, err := in.flags()
	if err != nil {
		return nil, err
	}
	if err := mayRetain(in.Topic, retain); err != nil {
		return nil, err
	}
	if _, err := in.with(); err != nil {
		return nil, err
	}
	asks := ask(rowPublish.action, rowPublish.arn(v.Place(), in.Topic))
	if retain {
		asks = append(asks, Ask{Action: rowRetainPublish.action, Resource: rowRetainPublish.arn(v.Place(), in.Topic)})
	}
	return asks, nil
}

// publish answers when the message is safe: 200 means what PUBACK means.
func (k dataDesk) publish(ctx context.Context, c Call, in *PublishInput) (*publishOutput, error) {
	qos, retain, err := in.flags()
	if err != nil {
		return nil, err
	}
	properties, err := in.with()
	if err == nil {
		err = k.m.mayTake(in.Topic, retain)
	}
	if err != nil {
		return nil, err
	}
	wait, err := k.m.publish(ctx, &broker.Message{Topic: in.Topic, Payload: in.Payload, QoS: qos, Retain: retain, Trace: c.Caller.Trace, Hops: in.hops, Principal: c.Caller.ID, Properties: properties}, nil, nil)
	if err == nil && wait != nil {
		err = wait(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &publishOutput{"OK", uuid.NewString()}, nil
}
