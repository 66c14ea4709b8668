package vend_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/vend"
)

// world is STS and IoT Data as far as vend sees them.
type world struct {
	assumed   []vend.AssumeInput
	topic     string
	qos       byte
	published []byte
	refuse    error
	mute      error
}

func (w *world) AssumeRole(ctx context.Context, in vend.AssumeInput) (strait.Credentials, error) {
	w.assumed = append(w.assumed, in)
	return strait.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "the secret", SessionToken: "the token", Expiration: time.Unix(2e9, 5)}, w.refuse
}

func (w *world) Publish(ctx context.Context, topic string, payload []byte, qos byte) error {
	w.topic, w.published, w.qos = topic, payload, qos
	return w.mute
}

func vendor(w *world) *vend.Vendor {
	return &vend.Vendor{Config: vend.Config{RoleARN: "arn:aws:iam::123456789012:role/s3-role", Bucket: "bucket", Region: "ap-northeast-1", Endpoint: "https://here", Duration: time.Hour}, Assumer: w, Publisher: w}
}

func TestVend(t *testing.T) {
	w := &world{}
	result, err := vendor(w).Vend(context.Background(), []byte(`{"name":"device00","clientToken":"t1","NAME":"device01"}`))
	if err != nil {
		t.Fatal(err)
	}
	in := w.assumed[0]
	want := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload"],"Resource":"arn:aws:s3:::bucket/device00/*"}]}`
	if in.Policy != want || in.SessionName != "device00" || in.RoleARN != "arn:aws:iam::123456789012:role/s3-role" || in.Duration != time.Hour {
		t.Errorf("assumed: got %+v, want the policy %s", in, want)
	}
	reply := `{"AccessKeyId":"ASIA","SecretAccessKey":"the secret","SessionToken":"the token","Expiration":"2033-05-18T03:33:20Z","Bucket":"bucket","Prefix":"device00/","Region":"ap-northeast-1","Endpoint":"https://here","clientToken":"t1"}`
	if w.topic != "device00/token/res" || w.qos != 1 || string(w.published) != reply {
		t.Errorf("published: got %s with QoS %d: %s, want %s", w.topic, w.qos, w.published, reply)
	}
	if strings.Contains(string(result), "secret") || strings.Contains(string(result), "token") {
		t.Errorf("the function's result holds a secret: %s", result)
	}
}

func TestDeviceOnlyNarrows(t *testing.T) {
	w := &world{}
	v := vendor(w)
	v.Config.Strict, v.Config.Duration = true, 30*time.Minute
	for event, want := range map[string]time.Duration{
		`{"name":"d","purpose":"log","duration":900}`:  15 * time.Minute,
		`{"name":"d","purpose":"log","duration":3600}`: 30 * time.Minute, // no more than configured
		`{"name":"d","purpose":"log","duration":null}`: 30 * time.Minute,
	} {
		w.assumed = nil
		if _, err := v.Vend(context.Background(), []byte(event)); err != nil {
			t.Fatal(err)
		}
		in := w.assumed[0]
		if in.Duration != want || in.SessionName != "d=" || !strings.Contains(in.Policy, `"Action":["s3:PutObject"],"Resource":"arn:aws:s3:::bucket/d/log/*"`) {
			t.Errorf("%s: got %+v", event, in)
		}
		if !strings.Contains(string(w.published), `"Prefix":"d/log/"`) {
			t.Errorf("%s: replied %s", event, w.published)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, event := range []string{
		`{"name":"d","clientToken":"t","purpose":"*"}`, `{"name":"d","clientToken":"t","purpose":"a/b"}`, `{"name":"d","clientToken":"t","purpose":""}`,
		`{"name":"d","clientToken":"t","purpose":7}`, `{"name":"d","clientToken":"t","purpose":"` + strings.Repeat("p", 33) + `"}`,
		`{"name":"d","clientToken":"t","duration":899}`, `{"name":"d","clientToken":"t","duration":3601}`, `{"name":"d","clientToken":"t","duration":1000.5}`,
		`{"name":"d","clientToken":"t","duration":"900"}`, `{"name":"d","clientToken":"t","duration":1e400}`,
	} {
		w := &world{}
		if _, err := vendor(w).Vend(context.Background(), []byte(event)); err != nil {
			t.Errorf("%s: got %v, want an answer", event, err)
		}
		var reply vend.Reply
		json.Unmarshal(w.published, &reply)
		if len(w.assumed) != 0 || w.topic != "d/token/res" || reply.Error == nil || reply.Error.Code != "InvalidRequest" || reply.ClientToken != "t" || reply.AccessKeyID != "" {
			t.Errorf("%s: assumed %v, replied %s", event, w.assumed, w.published)
		}
	}
	for _, event := range []string{
		``, `[]`, `{}`, `null`, `{"name":7}`, `{"name":""}`, `{"name":"*"}`, `{"name":"a/../b"}`, `{"name":"a/b"}`, `{"name":"${aws:username}"}`, `{"name":"+"}`,
		`{"name":"#"}`, `{"name":"a\u0000"}`, `{"name":"` + strings.Repeat("x", 129) + `"}`, `{"name":"ä"}`, `{"NAME":"d"}`, `{"name":"d"`,
	} {
		w := &world{}
		if _, err := vendor(w).Vend(context.Background(), []byte(event)); err == nil || w.topic != "" || len(w.assumed) != 0 {
			t.Errorf("%s: got %v, assumed %v, published to %q; want an error and nothing else", event, err, w.assumed, w.topic)
		}
	}
	for code, cause := range map[string]error{"AccessDenied": strait.Errorf(strait.Denied, "role", "not allowed on arn:secret"), "TemporaryFailure": errors.New("no network to host")} {
		w := &world{refuse: cause}
		_, err := vendor(w).Vend(context.Background(), []byte(`{"name":"d"}`))
		if !errors.Is(err, cause) || !strings.Contains(string(w.published), code) || strings.Contains(string(w.published), "secret") || strings.Contains(string(w.published), "network") {
			t.Errorf("%v: got %v, replied %s", cause, err, w.published)
		}
	}
	w := &world{mute: errors.New("no")}
	if _, err := vendor(w).Vend(context.Background(), []byte(`{"name":"d"}`)); !errors.Is(err, w.mute) {
		t.Errorf("publish fails: got %v", err)
	}
}

func TestSessionName(t *testing.T) {
	for thing, want := range map[string]string{"device00": "device00", "a": "a=", ":": "=3A", "a:b": "a=3Ab",
		strings.Repeat("x", 64): strings.Repeat("x", 64),
		// printf %s xxx... | sha256sum
		strings.Repeat("x", 128): strings.Repeat("x", 47) + "=24da1b81d0b16df6"} {
		if got := vend.SessionName(thing); got != want {
			t.Errorf("session name of %q: got %q, want %q", thing, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	good := map[string]string{vend.EnvRole: "arn:aws:iam::123456789012:role/s3-role", vend.EnvBucket: "bucket", "AWS_REGION": "eu-west-1"}
	get := func(k string) string { return good[k] }
	c, err := vend.ConfigFromEnv(get)
	if err != nil || c.Region != "eu-west-1" || c.Strict || c.Duration != time.Hour {
		t.Errorf("config: got %+v, %v", c, err)
	}
	for name, bad := range map[string]string{vend.EnvRole: "role", vend.EnvBucket: "b/*", vend.EnvStrict: "yes please", vend.EnvDuration: "7200"} {
		was := good[name]
		good[name] = bad
		if _, err := vend.ConfigFromEnv(get); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: got %v, want an error that names it", name, bad, err)
		}
		good[name] = was
	}
}

// FuzzName: a name never widens. Whatever the event, each key that the
// produced policy allows begins with the name and a slash, and the answer goes
// to that name's topic.
func FuzzName(f *testing.F) {
	for _, s := range []string{`{"name":"device00"}`, `{"name":"*"}`, `{"name":"a/../b"}`, `{"name":"${*}","purpose":"x"}`, `{"name":"a","purpose":"../b"}`,
		`{"name":"a:b","duration":900,"clientToken":"x"}`, `{"name":"?","name":"b"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		w := &world{}
		_, err := vendor(w).Vend(context.Background(), event)
		var said struct {
			Name string `json:"name"`
		}
		if w.topic != "" {
			var fields map[string]json.RawMessage
			if json.Unmarshal(event, &fields) != nil || json.Unmarshal(fields["name"], &said.Name) != nil || w.topic != said.Name+"/token/res" ||
				strings.ContainsAny(said.Name, "/+#") {
				t.Fatalf("%q: published to %q", event, w.topic)
			}
		}
		if err != nil && len(w.assumed) != 0 {
			t.Fatalf("%q: assumed and failed: %v", event, err)
		}
		for _, in := range w.assumed {
			var doc struct{ Statement []struct{ Resource string } }
			if json.Unmarshal([]byte(in.Policy), &doc) != nil || len(doc.Statement) != 1 || len(in.Policy) > 2048 {
				t.Fatalf("%q: policy %s", event, in.Policy)
			}
			pattern, ok := strings.CutPrefix(doc.Statement[0].Resource, "arn:aws:s3:::bucket/"+said.Name+"/")
			// What follows is at most one literal level and the one wildcard.
			if !ok || said.Name == "" || !strings.HasSuffix(pattern, "*") || strings.ContainsAny(said.Name+strings.TrimSuffix(pattern, "*"), "*?$") || strings.Contains(pattern, "..") {
				t.Fatalf("%q: name %q, resource %s", event, said.Name, doc.Statement[0].Resource)
			}
			if n := len(in.SessionName); n < 2 || n > 64 {
				t.Fatalf("%q: session name %q", event, in.SessionName)
			}
			if in.Duration < vend.MinDuration || in.Duration > vend.MaxDuration {
				t.Fatalf("%q: duration %v", event, in.Duration)
			}
		}
	})
}
