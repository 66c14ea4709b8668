package setup_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/await"
	"strait/function"
	"strait/server"
	"strait/setup"
)

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	os.Exit(m.Run())
}

// start opens a server and points the environment at it.
func start(t *testing.T) server.Ready {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{
		Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		HTTP: []string{"127.0.0.1:0"}, HTTPS: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r := s.Ready()
	for k, v := range map[string]string{
		"AWS_ENDPOINT_URL": "https://" + r.HTTPS[0], "AWS_CA_BUNDLE": r.CA, "AWS_SHARED_CREDENTIALS_FILE": r.Credentials, "AWS_REGION": r.Region,
		"AWS_CONFIG_FILE": filepath.Join(r.Data, "none"), "AWS_PROFILE": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
		"AWS_SESSION_TOKEN": "", "STRAIT_MQTT_ENDPOINT": r.MQTT[0],
	} {
		t.Setenv(k, v)
	}
	return r
}

func session(t *testing.T) *setup.Session {
	t.Helper()
	s, err := setup.NewSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// program is a file that passes for a Linux program; the server runs its own
// vending function in its place.
func program(t *testing.T) string {
	t.Helper()
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 2)  // executable
	binary.LittleEndian.PutUint16(b[18:], 62) // x86-64
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	name := filepath.Join(t.TempDir(), "vend")
	if err := os.WriteFile(name, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func upload(t *testing.T, s *setup.Session, in setup.UploadInput) setup.Result {
	t.Helper()
	in.Patience = await.Patience
	out, err := setup.Upload(t.Context(), s, in)
	if err != nil {
		t.Fatalf("Upload(%+v): %v", in, err)
	}
	return out
}

func unchanged(t *testing.T, what string, out setup.Result) {
	t.Helper()
	if len(out.Changed) != 0 {
		t.Errorf("%s changed:\n%s\nwant nothing", what, strings.Join(out.Changed, "\n"))
	}
}

// look describes everything that a set-up of in made, without ids and times.
func look(t *testing.T, s *setup.Session, in setup.UploadInput) string {
	t.Helper()
	var b strings.Builder
	say := func(what string, v any, err error) {
		if err != nil {
			var known interface{ ErrorCode() string }
			if !errors.As(err, &known) {
				t.Fatalf("look at %s: %v", what, err)
			}
			v = known.ErrorCode()
		}
		text, _ := json.Marshal(v)
		fmt.Fprintf(&b, "%s: %s\n", what, text)
	}
	ctx := t.Context()
	_, err := s.S3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &in.Bucket})
	say("bucket", err == nil, nil)
	for role, policy := range map[string]string{in.FunctionRole: "answer-things", in.UploadRole: "put-objects"} {
		if r, err := s.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &role}); err != nil {
			say(role, nil, err)
			continue
		} else {
			text, _ := url.PathUnescape(aws.ToString(r.Role.AssumeRolePolicyDocument))
			say(role+" trust", text, nil)
		}
		a, err := s.IAM.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &role})
		if err == nil {
			say(role+" attached", a.AttachedPolicies, nil)
		}
		p, err := s.IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &policy})
		if err == nil {
			text, _ := url.PathUnescape(aws.ToString(p.PolicyDocument))
			say(role+" policy", text, nil)
		} else {
			say(role+" policy", nil, err)
		}
	}
	f, err := s.Lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &in.FunctionName})
	if err == nil {
		say("function", []any{f.CodeSha256, f.Role, f.Environment.Variables, f.Runtime, f.Timeout}, nil)
	} else {
		say("function", nil, err)
	}
	p, err := s.Lambda.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &in.FunctionName})
	if err == nil {
		say("permission", p.Policy, nil)
	} else {
		say("permission", nil, err)
	}
	r, err := s.IoT.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: &in.RuleName})
	if err == nil {
		say("rule", []any{r.Rule.Sql, r.Rule.AwsIotSqlVersion, r.Rule.Actions, r.Rule.RuleDisabled}, nil)
	} else {
		say("rule", nil, err)
	}
	d, err := s.IoT.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: &in.ThingPolicy})
	if err == nil {
		say("thing policy", d.PolicyDocument, nil)
	} else {
		say("thing policy", nil, err)
	}
	lines := strings.Split(b.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// named gives every part a name of its own, ending with n.
func named(n, vend string) setup.UploadInput {
	return setup.UploadInput{Bucket: "bucket-" + n, Things: []string{"device00"}, VendFile: vend, FunctionName: "create-" + n, FunctionRole: "create-" + n,
		UploadRole: "upload-" + n, RuleName: "rule_" + n, ThingPolicy: "thing-" + n}
}

func TestUploadTwice(t *testing.T) {
	start(t)
	s, vend := session(t), program(t)
	for _, byAccount := range []bool{false, true} {
		for _, strict := range []bool{false, true} {
			in := named(strings.ToLower(fmt.Sprintf("%t%t", byAccount, strict)), vend)
			in.TrustAccount, in.Strict = byAccount, strict
			if out := upload(t, s, in); len(out.Changed) == 0 {
				t.Error("the first run changed nothing")
			}
			before := look(t, s, in)
			unchanged(t, "the second run", upload(t, s, in))
			if after := look(t, s, in); after != before {
				t.Errorf("after the second run:\n%s\nbefore:\n%s", after, before)
			}
			if trust := `arn:aws:iam::123456789012:root`; strings.Contains(before, trust) != byAccount {
				t.Errorf("TrustAccount %t: the trust is\n%s", byAccount, before)
			}
			if strings.Contains(before, "s3:AbortMultipartUpload") == strict {
				t.Errorf("Strict %t: the policy is\n%s", strict, before)
			}
		}
	}
}

func TestThingsAreAddedNeverTaken(t *testing.T) {
	start(t)
	s, in := session(t), named("x", program(t))
	upload(t, s, in)
	in.Things = []string{"device01"}
	upload(t, s, in)
	got := look(t, s, in)
	for _, d := range []string{"device00", "device01"} {
		if !strings.Contains(got, ":topic/"+d+"/token/res") {
			t.Errorf("after device00, then device01, the function may not answer %s:\n%s", d, got)
		}
	}
	in.Things = nil
	upload(t, s, in)
	if got := look(t, s, in); !strings.Contains(got, ":topic/*/token/res") || strings.Contains(got, "device00") {
		t.Errorf("after a run for all things:\n%s", got)
	}
	in.Things = []string{"device01"}
	unchanged(t, "one thing after all", upload(t, s, in))
}

// cut lets n requests through; then the line is dead. With lost, the last of
// them reaches the server, but its answer is lost.
type cut struct {
	left atomic.Int64
	lost bool
	stop context.CancelFunc
}

func (c *cut) Do(r *http.Request) (*http.Response, error) {
	switch left := c.left.Add(-1); {
	case left < 0:
		c.stop()
		return nil, context.Canceled
	case left == 0 && c.lost:
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
		}
		c.stop()
		return nil, context.Canceled
	}
	return http.DefaultClient.Do(r)
}

// Whatever request the line breaks at, before it is sent or before it is
// answered: the next run finishes, and the one after has nothing to do.
func TestUploadInterrupted(t *testing.T) {
	r := start(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://"+r.HTTP[0])
	s, vend := session(t), program(t)
	whole := named("whole", vend)
	upload(t, s, whole)
	want := look(t, s, whole)
	t.Setenv("AWS_CA_BUNDLE", "") // the SDK puts it into its own client only
	for _, lost := range []bool{false, true} {
		for n := 1; ; n++ {
			name := fmt.Sprintf("%tx%d", lost, n)
			in := named(name, vend)
			in.Patience = await.Patience
			ctx, stop := context.WithCancel(t.Context())
			line := &cut{lost: lost, stop: stop}
			line.left.Store(int64(n))
			broken, err := setup.NewSession(ctx, config.WithHTTPClient(line))
			if err != nil {
				t.Fatal(err)
			}
			_, err = setup.Upload(ctx, broken, in)
			stop()
			if err == nil {
				if n < 20 {
					t.Errorf("the whole run took only %d requests", n)
				}
				break
			}
			upload(t, s, in)
			if got := strings.ReplaceAll(look(t, s, in), name, "whole"); got != want {
				t.Fatalf("cut at request %d (lost answer: %t), then run again: got\n%s\nwant\n%s", n, lost, got, want)
			}
			unchanged(t, "the third run", upload(t, s, in))
		}
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	start(t)
	s, in := session(t), named("x", program(t))
	before := look(t, s, in)
	in.DryRun = true
	var log strings.Builder
	in.Log = func(step, detail string) { log.WriteString(step + ": " + detail + "\n") }
	out := upload(t, s, in)
	if got := look(t, s, in); got != before {
		t.Errorf("after a dry run:\n%s\nwant as before:\n%s", got, before)
	}
	for _, want := range []string{"would create bucket", "sts:AssumeRole", "${iot:Connection.Thing.ThingName}", "FROM '+/token/req'", "STRAIT_VEND_ROLE_ARN"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the dry run does not tell %q; it tells\n%s", want, log.String())
		}
	}
	in.DryRun = false
	if real := upload(t, s, in); !slices.Equal(real.Changed, out.Changed) {
		t.Errorf("the dry run would change\n%q\nthe real one changed\n%q", out.Changed, real.Changed)
	}
	in.DryRun = true
	unchanged(t, "a dry run after it", upload(t, s, in))
}

func TestDeadTrustIsRepaired(t *testing.T) {
	start(t)
	s, in := session(t), named("x", program(t))
	upload(t, s, in)
	want := look(t, s, in)
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	logs := "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
	must(s.IAM.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &in.FunctionRole, PolicyArn: &logs}))
	must(s.IAM.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &in.FunctionRole, PolicyName: aws.String("answer-things")}))
	must(s.IAM.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &in.FunctionRole}))
	if got := look(t, s, in); !strings.Contains(got, "AROA") {
		t.Fatalf("the trust of a deleted role shows no id:\n%s", got)
	}
	out := upload(t, s, in)
	if !strings.Contains(strings.Join(out.Changed, "\n"), "repair the trust policy") {
		t.Errorf("changed %q, want a repair", out.Changed)
	}
	if got := look(t, s, in); got != want {
		t.Errorf("after the repair:\n%s\nwant\n%s", got, want)
	}
}

// What somebody changed is put right, and what is theirs is kept.
func TestDriftIsPutRight(t *testing.T) {
	start(t)
	s, in := session(t), named("x", program(t))
	out := upload(t, s, in)
	want := look(t, s, in)
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{"STRAIT_VEND_STRICT": "true", "STRAIT_VEND_DURATION": "900", "THEIRS": "kept"}
	must(s.Lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &in.FunctionName, Environment: lambdaVars(vars)}))
	must(s.Lambda.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: &in.FunctionName, StatementId: aws.String("rule-rule_x")}))
	must(s.Lambda.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: &in.FunctionName, StatementId: aws.String("rule-rule_x"),
		Action: aws.String("lambda:*"), Principal: aws.String("iot.amazonaws.com"), SourceArn: aws.String(string(out.Rule))}))
	must(s.IoT.DisableTopicRule(ctx, &iot.DisableTopicRuleInput{RuleName: &in.RuleName}))
	for range 4 { // all five versions: room must be made
		must(s.IoT.CreatePolicyVersion(ctx, &iot.CreatePolicyVersionInput{PolicyName: &in.ThingPolicy, SetAsDefault: true,
			PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`)}))
	}
	upload(t, s, in)
	got := look(t, s, in)
	for _, kept := range []string{`"STRAIT_VEND_DURATION":"900",`, `,"THEIRS":"kept"`} {
		if !strings.Contains(got, kept) {
			t.Errorf("%s is gone:\n%s", kept, got)
		}
		got = strings.Replace(got, kept, "", 1)
	}
	if got != want {
		t.Errorf("after putting it right:\n%s\nwant\n%s", got, want)
	}
	unchanged(t, "the run after", upload(t, s, in))
}

func TestNamesAreRefused(t *testing.T) {
	start(t)
	s, vend := session(t), program(t)
	for _, bad := range []string{"*", "a/../b", "", "a b", "${aws:userid}", "a\nb", strings.Repeat("a", 300), "ä"} {
		dir := t.TempDir()
		if _, err := setup.Thing(t.Context(), s, bad, dir); err == nil {
			t.Errorf("Thing(%q) succeeded", bad)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("Thing(%q) left %v", bad, left)
		}
		for what, set := range map[string]func(*setup.UploadInput){
			"bucket":       func(in *setup.UploadInput) { in.Bucket = bad },
			"thing":        func(in *setup.UploadInput) { in.Things = []string{"device00", bad} },
			"function":     func(in *setup.UploadInput) { in.FunctionName = bad },
			"role":         func(in *setup.UploadInput) { in.UploadRole = bad },
			"rule":         func(in *setup.UploadInput) { in.RuleName = bad },
			"thing policy": func(in *setup.UploadInput) { in.ThingPolicy = bad },
			"endpoint":     func(in *setup.UploadInput) { in.Endpoint = bad },
		} {
			if bad == "" && what != "bucket" && what != "thing" {
				continue // means the default
			}
			in := named("x", vend)
			set(&in)
			if out, err := setup.Upload(t.Context(), s, in); err == nil || len(out.Changed) != 0 {
				t.Errorf("%s %q: changed %q, error %v; want an error before any change", what, bad, out.Changed, err)
			}
		}
	}
	for _, bad := range []string{"", "*", "a/#", "+/b", "${iot:ClientId}", "a?b", "a b", "1/2/3/4/5/6/7/8/9", strings.Repeat("a", 257)} {
		if _, err := setup.Topic(t.Context(), s, setup.TopicInput{Topic: bad}); err == nil {
			t.Errorf("Topic(%q) succeeded", bad)
		}
	}
	for _, bad := range []string{"*", "arn:aws:iam::*:root", "me"} {
		if _, err := setup.Topic(t.Context(), s, setup.TopicInput{Topic: "test", TrustPrincipal: bad}); err == nil {
			t.Errorf("Topic trusting %q succeeded", bad)
		}
	}
}

// The key of a built program must see every file that it is built from.
func TestBuiltFromWhatIsHashed(t *testing.T) {
	gotool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("Go is not on PATH")
	}
	c := exec.Command(gotool, "list", "-deps", "./cmd/strait-vend")
	c.Dir = ".."
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		if (p == "strait" || strings.HasPrefix(p, "strait/")) && !slices.Contains([]string{"strait", "strait/vend", "strait/cmd/strait-vend"}, p) {
			t.Errorf("cmd/strait-vend now needs %s: add it to vendSources", p)
		}
	}
}
