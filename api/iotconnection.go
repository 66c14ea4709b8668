package api

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/uuid"

	"strait"
	"strait/broker"
	"strait/policy"
)

// The connection management API (iot-mqtt.md, section 8): who looks after
// clients sees their connections, ends them, and sends them messages.

type connectionInput struct {
	ClientID string `aws:"path,clientId"`
	Socket   string `aws:"query,includeSocketInformation"`
}

// onClient asks for action on a client, with condition keys that more gives.
func onClient[In any](action strait.Action, read func(*In) (clientID string, more policy.Context, err error)) func(context.Context, View, *Caller, *In) ([]Ask, error) {
	return func(_ context.Context, v View, _ *Caller, in *In) ([]Ask, error) {
		id, x, err := read(in)
		if err == nil {
			err = broker.ValidClientID(id)
		}
		if err != nil {
			return nil, err
		}
		return askWith(action, rowConnect.arn(v.Place(), id), x), nil
	}
}

// flag reads a boolean of the query, which is false when it is not there.
func flag(name, value string) (bool, error) {
	switch value {
	case "", "false", "FALSE":
		return false, nil
	case "true", "TRUE":
		return true, nil
	}
	return false, strait.Errorf(strait.Invalid, "request", "%s must be true or false", name)
}

func (in *connectionInput) read() (string, policy.Context, error) {
	with, err := flag("includeSocketInformation", in.Socket)
	x := policy.Context{}
	x.Set("iot:IncludeSocketInformation", strconv.FormatBool(with))
	return in.ClientID, x, err
}

type connectionOutput struct {
	ClientID          string `json:"clientId"`
	Connected         bool   `json:"connected"`
	ThingName         string `json:"thingName,omitempty"`
	CleanSession      bool   `json:"cleanSession"`
	SourceIP          string `json:"sourceIp,omitempty"`
	SourcePort        int    `json:"sourcePort,omitempty"`
	TargetIP          string `json:"targetIp,omitempty"`
	TargetPort        int    `json:"targetPort,omitempty"`
	KeepAlive         int64  `json:"keepAliveDuration,omitempty"`
	ConnectedSince    int64  `json:"connectedSince,omitempty"`
	DisconnectedSince int64  `json:"disconnectedSince,omitempty"`
	DisconnectReason  string `json:"disconnectReason,omitempty"`
	SessionExpiry     int64  `json:"sessionExpiry"`
}

// pastKept is how long it is told of a client how it went.
const pastKept = 30 * time.Minute

func (k dataDesk) getConnection(_ context.Context, _ Call, in *connectionInput) (*connectionOutput, error) {
	if err := k.m.once("GetConnection", in.ClientID); err != nil {
		return nil, err
	}
	now := k.m.Now()
	p, ended, reason := k.m.passport(in.ClientID, now)
	info, kept := k.m.Broker.Session(in.ClientID)
	if p == nil && !kept {
		return nil, strait.Errorf(strait.NotFound, "client", "There is no connection of the client %s, and has been none for some time.", in.ClientID)
	}
	out := &connectionOutput{ClientID: in.ClientID, CleanSession: !info.Persistent, SessionExpiry: int64(info.Expiry / time.Second)}
	if p == nil { // it left before the server was started, or long ago
		if now.Sub(info.Left) < pastKept {
			out.DisconnectedSince = info.Left.UnixMilli()
		}
		return out, nil
	}
	out.Connected = ended.IsZero()
	out.CleanSession, out.SessionExpiry = p.clean, int64(p.expiry/time.Second)
	out.KeepAlive = int64(p.keepAlive / time.Second)
	if t, _ := k.m.Directory.ThingFor(&Caller{Principal: p.who, ClientID: in.ClientID}); t != nil {
		out.ThingName = t.Name
	}
	if out.Connected {
		out.ConnectedSince = p.since.UnixMilli()
	} else {
		out.DisconnectedSince, out.DisconnectReason = ended.UnixMilli(), reason
	}
	if with, _ := flag("", in.Socket); with {
		out.SourceIP, out.SourcePort = socket(p.from)
		out.TargetIP, out.TargetPort = socket(p.to)
	}
	return out, nil
}

func socket(a netip.AddrPort) (string, int) {
	if !a.IsValid() {
		return "", 0
	}
	return a.Addr().Unmap().String(), int(a.Port())
}

type removeConnectionInput struct {
	ClientID string `aws:"path,clientId"`
	Clean    string `aws:"query,cleanSession"`
	NoWill   string `aws:"query,preventWillMessage"`
}

func (in *removeConnectionInput) read() (string, policy.Context, error) {
	_, err1 := flag("cleanSession", in.Clean)
	_, err2 := flag("preventWillMessage", in.NoWill)
	return in.ClientID, nil, errors.Join(err1, err2)
}

func (k dataDesk) deleteConnection(ctx context.Context, _ Call, in *removeConnectionInput) (*Nothing, error) {
	if err := k.m.once("DeleteConnection", in.ClientID); err != nil {
		return nil, err
	}
	r := broker.Removal{}
	r.Forget, _ = flag("", in.Clean)
	r.NoWill, _ = flag("", in.NoWill)
	return nil, k.m.Broker.Remove(ctx, in.ClientID, r)
}

type subscriptionsInput struct {
	ClientID string `aws:"path,clientId"`
	Token    string `aws:"query,nextToken"`
	Limit    *int   `aws:"query,maxResults"`
}

func (in *subscriptionsInput) read() (string, policy.Context, error) {
	return in.ClientID, nil, dataPage(&in.Limit, 20)
}

// dataPage puts def where no size was asked for. The data plane's pages have
// 200 items at most.
func dataPage(limit **int, def int) error {
	if *limit == nil {
		*limit = &def
	}
	if **limit < 1 || **limit > 200 {
		return strait.Errorf(strait.Invalid, "request", "maxResults must be between 1 and 200")
	}
	return nil
}

type subscriptionSummary struct {
	Filter string `json:"topicFilter"`
	QoS    byte   `json:"qos"`
}

type subscriptionsOutput struct {
	Subscriptions []subscriptionSummary `json:"subscriptions"`
	Token         string                `json:"nextToken,omitempty"`
}

func (k dataDesk) listSubscriptions(_ context.Context, _ Call, in *subscriptionsInput) (*subscriptionsOutput, error) {
	if err := k.m.once("ListSubscriptions", in.ClientID); err != nil {
		return nil, err
	}
	all, ok := k.m.Broker.Subscriptions(in.ClientID)
	if !ok {
		return nil, strait.Errorf(strait.NotFound, "client", "There is no session of the client %s.", in.ClientID)
	}
	list, token, err := page(all, func(s broker.Subscription) string { return s.Filter }, in.Token, in.Limit)
	out := &subscriptionsOutput{Subscriptions: []subscriptionSummary{}, Token: token}
	for _, s := range list {
		out.Subscriptions = append(out.Subscriptions, subscriptionSummary{s.Filter, s.QoS})
	}
	return out, err
}

type directInput struct {
	ClientID      string `aws:"path,clientId"`
	Topic         string `aws:"query,topic"`
	Confirmation  string `aws:"query,confirmation"`
	Timeout       string `aws:"query,timeout"`
	ContentType   string `aws:"query,contentType"`
	ResponseTopic string `aws:"query,responseTopic"`
	User          string `aws:"header,x-amz-mqtt5-user-properties"`
	Format        string `aws:"header,x-amz-mqtt5-payload-format-indicator"`
	Correlation   string `aws:"header,x-amz-mqtt5-correlation-data"`
	Payload       []byte `aws:"payload"`
}

func (in *directInput) read() (string, policy.Context, error) {
	_, err1 := flag("confirmation", in.Confirmation)
	_, err2 := in.patience()
	_, err3 := in.message()
	x := policy.Context{}
	x.Set("iot:Topic", in.Topic)
	return in.ClientID, x, errors.Join(err1, err2, err3)
}

// patience is how long a confirmation is waited for.
func (in *directInput) patience() (time.Duration, error) {
	if in.Timeout == "" || in.Timeout == "0" {
		return 5 * time.Second, nil
	}
	n, err := strconv.Atoi(in.Timeout)
	if err != nil || n < 1 || n > 15 {
		return 0, strait.Errorf(strait.Invalid, "request", "timeout must be between 1 and 15")
	}
	return time.Duration(n) * time.Second, nil
}

func (in *directInput) message() (*broker.Message, error) {
	if err := checkTopic(in.Topic); err != nil {
		return nil, err
	}
	if in.Topic[0] == '$' {
		return nil, strait.Errorf(strait.Denied, "reserved topic", "the topic %s is reserved", in.Topic)
	}
	ps, err := headers{in.ContentType, in.ResponseTopic, "", in.User, in.Format, in.Correlation}.properties()
	return &broker.Message{Topic: in.Topic, Payload: in.Payload, Properties: ps}, err
}

func (k dataDesk) sendDirectMessage(ctx context.Context, c Call, in *directInput) (*publishOutput, error) {
	if err := k.m.once("SendDirectMessage", in.ClientID); err != nil {
		return nil, err
	}
	m, err := in.message()
	if err != nil {
		return nil, err
	}
	wait, err := in.patience()
	if err != nil {
		return nil, err
	}
	if confirm, _ := flag("", in.Confirmation); confirm {
		m.QoS = 1
	}
	m.Trace, m.Principal = c.Caller.Trace, c.Caller.ID
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = k.m.Broker.Direct(ctx, in.ClientID, m)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, strait.Errorf(strait.Unavailable, "confirmation", "The client %s did not confirm the message within %s.", in.ClientID, wait)
	}
	if err != nil {
		return nil, err
	}
	return &publishOutput{"OK", uuid.NewString()}, nil
}
