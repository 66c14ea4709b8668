package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"strait"
	"strait/api"
	"strait/authz"
	"strait/broker"
	"strait/function"
	"strait/identity"
	"strait/identity/sigv4"
	"strait/rule"
	"strait/vend"
)

// This file is where one engine needs another: always through the corridor,
// with a caller that is built here.

func itoa(n int) string { return strconv.Itoa(n) }

// identify proves the caller of a signed request. A function's process is
// known by its access key: what it does belongs to the story it works on.
func (s *Server) identify(claim *sigv4.Claim, o sigv4.Options) (api.Caller, error) {
	o.Now = s.cfg.Now()
	auth := identity.Authenticator{Directory: s.directory, Issuer: s.issuer, Now: s.cfg.Now, Keys: &s.keys}
	c, err := auth.Signed(claim, o)
	if err != nil {
		return c, err
	}
	if trace, ok := s.functions.Current(c.KeyID); ok {
		c.Trace = trace
	}
	return c, nil
}

// matched hands every accepted message to the rules.
func (s *Server) matched(m *broker.Message) func(context.Context) error {
	if !s.rules.Takes(m.Topic) {
		return nil
	}
	return s.rules.Accept(rule.Message{
		Topic: m.Topic, Payload: m.Payload, ClientID: m.Publisher, Principal: cmp.Or(m.Principal, s.mqtt.PrincipalOf(m.Publisher)), Trace: m.Trace, Time: m.Time, Hops: m.Hops, Properties: propertiesOf(m.Properties),
	})
}

// Invoke is rule.Invoker: the service iot.amazonaws.com, acting for the rule,
// asks for the function through the row that everyone uses.
func (s *Server) Invoke(ctx context.Context, r rule.Rule, fn strait.ARN, payload []byte, trace string) error {
	c := s.directory.Service("iot.amazonaws.com", s.cfg.Place.IoT("rule/"+r.Name), trace)
	_, err := s.corridor.Serve(ctx, &c, s.lambda.Find("Invoke"), func(in any) error {
		i := in.(*api.InvokeInput)
		i.FunctionName, i.Type, i.Payload = string(fn), "Event", payload
		return nil
	})
	return err
}

// functionSession is how long the credentials of a function's process live.
const functionSession = time.Hour

// Credentials is function.Credentialer: the service lambda.amazonaws.com takes
// the execution role, if the role's trust policy lets it.
func (s *Server) Credentials(ctx context.Context, f function.Function) (strait.Credentials, error) {
	session, err := s.take("lambda.amazonaws.com", f.ARN, f.Role, f.Name, s.traceOf(ctx), functionSession)
	if err != nil {
		return strait.Credentials{}, err
	}
	session.Trace = "" // a process works on many stories: see identify
	creds, _, err := s.issuer.Issue(session)
	return creds, err
}

// traceOf is the story that a function is started for.
func (s *Server) traceOf(ctx context.Context) string {
	if trace := function.TraceOf(ctx); trace != "" {
		return trace
	}
	return authz.NewTrace()
}

// environment is what a function's process is told of this server.
func (s *Server) environment(function.Function) []string {
	url, secure := s.ownURL()
	if url == "" {
		return nil
	}
	env := []string{"AWS_ENDPOINT_URL=" + url}
	if secure {
		for _, name := range []string{"AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"} {
			env = append(env, name+"="+s.authority.File())
		}
	}
	return env
}

// ownURL is where a process on this machine reaches the HTTP side.
func (s *Server) ownURL() (url string, secure bool) {
	if a := addresses(s.listeners.http); len(a) > 0 {
		return "http://" + a[0], false
	}
	if a := addresses(s.listeners.https); len(a) > 0 {
		_, port, _ := net.SplitHostPort(a[0])
		return "https://" + net.JoinHostPort("127.0.0.1", port), true
	}
	return "", false
}

func (s *Server) natives() map[string]function.Native {
	return map[string]function.Native{"vend " + vend.Version: s.vend}
}

// vend runs the upload pattern's function inside the server, as the session
// of its execution role: the corridor asks for everything it does.
func (s *Server) vend(ctx context.Context, inv function.Invocation) ([]byte, error) {
	session, _, err := s.issuer.Open(inv.Credentials.AccessKeyID, inv.Credentials.SessionToken)
	if err != nil {
		return nil, err
	}
	c := api.Caller{Principal: s.directory.ForSession(&session), KeyID: inv.Credentials.AccessKeyID, Session: &session, Trace: inv.Trace, Secure: true}
	as := acting{s, c}
	v, err := vend.Native(func(name string) string {
		if name == "AWS_REGION" {
			return s.cfg.Place.Region
		}
		return inv.Function.Environment[name]
	}, as, as)
	if err != nil {
		return nil, err
	}
	return v.Vend(ctx, inv.Event)
}

// acting is the corridor as seen by a function inside the server.
type acting struct {
	s *Server
	c api.Caller
}

// AssumeRole is vend.Assumer.
func (a acting) AssumeRole(ctx context.Context, in vend.AssumeInput) (strait.Credentials, error) {
	seconds := int(in.Duration / time.Second)
	out, err := a.s.corridor.Serve(ctx, &a.c, a.s.sts.Find("AssumeRole"), func(to any) error {
		i := to.(*api.AssumeRoleInput)
		i.RoleArn, i.RoleSessionName, i.Policy, i.DurationSeconds = in.RoleARN, in.SessionName, in.Policy, &seconds
		return nil
	})
	if err != nil {
		return strait.Credentials{}, err
	}
	return out.(*api.AssumeRoleOutput).Issued(), nil
}

// Publish is vend.Publisher.
func (a acting) Publish(ctx context.Context, topic string, payload []byte, qos byte) error {
	_, err := a.s.corridor.Serve(ctx, &a.c, a.s.iotdata.Find("Publish"), func(to any) error {
		i := to.(*api.PublishInput)
		i.Topic, i.Payload, i.QoS = topic, payload, strconv.Itoa(int(qos))
		return nil
	})
	return err
}

// ruleEvent writes down what became of a message at a rule.
func (s *Server) ruleEvent(e rule.Event) {
	s.meters.rule(string(e.Step))
	var what string
	broken := false
	switch e.Step {
	case rule.Matched, rule.Retrying:
		return // the decision about the function follows, or another try
	case rule.Invoked: // put together by hand, as it is for each message
		what = "rule " + e.Rule + " invoked " + string(e.Function)
	case rule.Done:
		what = "rule " + e.Rule + ": " + e.Action + " is done"
	case rule.Disabled:
		what, broken = fmt.Sprintf("rule %s matches the topic %s but is disabled (iot enable-topic-rule --rule-name %s)", e.Rule, e.Topic, e.Rule), true
	case rule.WhereFalse:
		what = fmt.Sprintf("rule %s: its WHERE is false for this message", e.Rule)
	default:
		what, broken = fmt.Sprintf("rule %s: %s", e.Rule, e.Step), true
		if e.Err != nil {
			what += ": " + e.Err.Error()
		}
	}
	s.authorizer.Recorder.Note(authz.Record{Trace: e.Trace, Operation: "Rule", Event: what, Broken: broken, Layer: "topic rule", Document: "rule/" + e.Rule})
}

// functionEvent writes down what went wrong with an invocation.
func (s *Server) functionEvent(e function.Event) {
	what := fmt.Sprintf("function %s %s (attempt %d): %s", e.Function, e.Kind, e.Attempt, firstLine(e.Message))
	s.authorizer.Recorder.Note(authz.Record{Trace: e.Trace, Operation: "Function", Event: what, Broken: true, Layer: "function", Document: "function:" + e.Function})
}

func firstLine(s string) string {
	var doc struct{ ErrorMessage string }
	if json.Unmarshal([]byte(s), &doc) == nil && doc.ErrorMessage != "" {
		s = doc.ErrorMessage
	}
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// functionSender tells destinations of a function's events, as a session of
// its execution role, which must be allowed to invoke them.
type functionSender struct{ s *Server }

// Send is function.Sender.
func (h functionSender) Send(ctx context.Context, f function.Function, to strait.ARN, payload []byte, trace string, hops int) error {
	creds, err := h.s.Credentials(ctx, f)
	if err != nil {
		return err
	}
	session, _, err := h.s.issuer.Open(creds.AccessKeyID, creds.SessionToken)
	if err != nil {
		return err
	}
	c := api.Caller{Principal: h.s.directory.ForSession(&session), KeyID: creds.AccessKeyID, Session: &session, Trace: trace, Secure: true}
	_, err = h.s.corridor.Serve(ctx, &c, h.s.lambda.Find("Invoke"), func(in any) error {
		i := in.(*api.InvokeInput)
		i.FunctionName, i.Type, i.Payload, i.Hops = string(to), "Event", payload, hops
		return nil
	})
	return err
}

// engineTags returns the tags of a function, for decisions about it.
func (s *Server) engineTags(arn strait.ARN) (map[string]string, error) {
	name, ok := strings.CutPrefix(string(arn), string(s.cfg.Place.Lambda("")))
	if !ok || name == "" {
		return nil, nil
	}
	name, _, _ = strings.Cut(name, ":")
	f, err := s.functions.Get(context.Background(), name)
	switch strait.KindOf(err) {
	case strait.NotFound, strait.Invalid:
		return nil, nil
	}
	return f.Tags, err
}
