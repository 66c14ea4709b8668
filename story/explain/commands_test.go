package explain_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
)

// Hypothetical requests are answered as real ones would be: of every kind of
// caller, for IoT and S3 actions alike, with a session policy or without.
func TestSuppose(t *testing.T) {
	h := open(t)
	_, user := h.user(doc(allow("s3:GetObject", "arn:aws:s3:::data/${aws:username}/*")))
	role := h.role(trusting(user), doc(allow("s3:PutObject", "arn:aws:s3:::data/*")+","+allow("iot:*", "*")))
	name := role.Resource()[len("role/"):]
	session := string(h.place.STS("assumed-role/" + name + "/device00"))
	narrow := filepath.Join(t.TempDir(), "narrow.json")
	h.must(os.WriteFile(narrow, []byte(doc(allow("s3:PutObject", "arn:aws:s3:::data/device00/*")+","+allow("iot:Publish", anyTopic+"test"))), 0o600))
	_, certificate := h.certificate(doc(allow("iot:Connect", "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}")))
	_, err := h.admin.IoT.CreateThing(h.ctx, &iot.CreateThingInput{ThingName: aws.String("device00")})
	h.must(err)
	_, err = h.admin.IoT.AttachThingPrincipal(h.ctx, &iot.AttachThingPrincipalInput{ThingName: aws.String("device00"), Principal: &certificate})
	h.must(err)
	last := user.Resource()[len("user/"):]
	for _, x := range []struct {
		says string
		args []string
	}{
		{"may do s3:GetObject", []string{"--principal", string(user), "--action", "s3:GetObject", "--resource", "arn:aws:s3:::data/" + last + "/x"}},
		{"because no identity-based policy allows", []string{"--principal", string(user), "--action", "s3:GetObject", "--resource", "arn:aws:s3:::data/x"}},
		{"may do s3:PutObject", []string{"--principal", session, "--action", "s3:PutObject", "--resource", "arn:aws:s3:::data/device01/x"}},
		{"because no session policy allows", []string{"--principal", session, "--action", "s3:PutObject", "--resource", "arn:aws:s3:::data/device01/x", "--session-policy", narrow}},
		{"may do iot:Publish", []string{"--principal", string(role), "--action", "iot:Publish", "--resource", string(h.place.IoT("topic/test")), "--session-policy", narrow}},
		{"because no session policy allows", []string{"--principal", string(role), "--action", "iot:Publish", "--resource", string(h.place.IoT("topic/other")), "--session-policy", narrow}},
		{"may do iot:Connect", []string{"--principal", certificate, "--action", "iot:Connect", "--resource", string(h.place.IoT("client/device00"))}},
		{"because no IoT policy allows", []string{"--principal", string(h.place.IoT("thing/device00")), "--client-id", "other", "--action", "iot:Connect", "--resource", string(h.place.IoT("client/other"))}},
		{"because no resource-based policy allows", []string{"--principal", "iot.amazonaws.com", "--action", "lambda:InvokeFunction", "--resource", string(h.place.Lambda("f")), "--context", "aws:SourceAccount=123456789012"}},
		{"anonymous caller", []string{"--principal", "anonymous", "--action", "s3:GetObject", "--resource", "arn:aws:s3:::data/x"}},
		{"may do sts:AssumeRole", []string{"--principal", string(user), "--action", "sts:AssumeRole", "--resource", string(role)}},
	} {
		text, err := h.strait(append([]string{"explain"}, x.args...)...)
		if err != nil || !strings.Contains(text, x.says) {
			t.Errorf("strait explain %v: %v; want %q in\n%s", x.args, err, x.says, text)
		}
	}
	if _, err := h.strait("explain", "--principal", string(h.place.IAM("user/nobody")), "--action", "s3:GetObject"); err == nil || !strings.Contains(err.Error(), "cannot be found") {
		t.Errorf("of a user who does not exist: %v", err)
	}
	// Nobody asked: nothing is recorded.
	if text, err := h.strait("decisions"); err != nil || strings.Contains(text, "device01") {
		t.Errorf("strait decisions: %v\n%s", err, text)
	}
}

// The log can be followed; what was needed becomes a policy.
func TestDecisions(t *testing.T) {
	h := open(t)
	cmd := exec.CommandContext(h.ctx, program, "decisions", "--follow", "--denied", "--json", "--last", "1")
	out, err := cmd.StdoutPipe()
	h.must(err)
	h.must(cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	seen := make(chan string, 64)
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var d struct{ Resource, Effect string }
			if json.Unmarshal(lines.Bytes(), &d) == nil {
				seen <- d.Resource
			}
		}
	}()
	c, arn := h.user(doc(allow("s3:PutObject", "arn:aws:s3:::data/mine/*")))
	h.must(h.put(c, "mine/a"))
	h.must(h.put(c, "mine/b"))
	if h.put(c, "others/a") == nil {
		t.Fatal("it was not refused")
	}
	select {
	case resource := <-seen:
		if resource != "arn:aws:s3:::data/others/a" {
			t.Errorf("strait decisions --follow --denied shows %s", resource)
		}
	case <-time.After(patience):
		t.Error("strait decisions --follow shows nothing")
	}
	text, err := h.strait("policy", "suggest", "--user", arn.Resource()[len("user/"):])
	want := `"arn:aws:s3:::data/mine/a",
        "arn:aws:s3:::data/mine/b"`
	if err != nil || !strings.Contains(text, want) || strings.Contains(text, "others") {
		t.Errorf("strait policy suggest: %v\n%s", err, text)
	}
	// A thing's: of messages, which leave no record each.
	pair, _ := h.certificate(doc(allow("iot:*", "*")))
	h.must(h.connected(pair, "busy", func(c *client) error {
		for range 3 {
			if err := c.do(c.Publish("busy/data", 1, false, "x")); err != nil {
				return err
			}
		}
		return nil
	}))
	text, err = h.strait("policy", "suggest", "--thing", "busy", "--since", "1h")
	for _, want := range []string{"iot:Connect", "client/busy", "iot:Publish", "topic/busy/data"} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("strait policy suggest lacks %s: %v\n%s", want, err, text)
		}
	}
}

// A batch needs no server, and fails when an expectation does.
func TestBatch(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	h := &house{t: t, ctx: t.Context()}
	line := func(resource, expect string) string {
		return `{"principal":"arn:aws:iam::123456789012:user/a","action":"s3:PutObject","resource":"` + resource + `","identity":[` +
			doc(allow("s3:PutObject", "arn:aws:s3:::data/*")) + `],"session":null,"boundary":null,"resource_policy":null,"iot":null,"expect":"` + expect + `"}` + "\n"
	}
	file := filepath.Join(t.TempDir(), "batch.jsonl")
	h.must(os.WriteFile(file, []byte(line("arn:aws:s3:::data/a", "allow")+line("arn:aws:s3:::b/a", "implicitDeny")), 0o600))
	text, err := h.strait("explain", "--batch", file)
	if err != nil || strings.Count(text, "\n") != 2 || !strings.Contains(text, `"decision":"implicitDeny"`) {
		t.Errorf("a batch as expected: %v\n%s", err, text)
	}
	h.must(os.WriteFile(file, []byte(line("arn:aws:s3:::data/a", "explicitDeny")), 0o600))
	if _, err = h.strait("explain", "--batch", file); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("a decision that differs: %v, want exit status 1", err)
	}
}
