package power_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"strait/await"
	mqtt "strait/device"
)

// A collector is what the world outside sees of functions and rules.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	seen   map[string]int // by path and body: "/function 17"
	tokens chan string
}

func newCollector(t *testing.T) *collector {
	c := &collector{seen: map[string]int{}, tokens: make(chan string, 1)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if token := r.URL.Query().Get("confirmationToken"); token != "" {
			c.tokens <- token
			return
		}
		if r.URL.Path == "/rule" {
			// Longer than a rule waits before it writes its run down.
			time.Sleep(50 * time.Millisecond)
		}
		c.mu.Lock()
		c.seen[r.URL.Path+" "+strings.Trim(string(b), `"`)]++
		c.mu.Unlock()
	}))
	t.Cleanup(c.Close)
	return c
}

// missing lists what of ids did not come.
func (c *collector) missing(ids []string) (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		for _, path := range []string{"/function ", "/rule "} {
			if c.seen[path+id] == 0 {
				out = append(out, path+id)
			}
		}
	}
	return out
}

func (c *collector) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.seen {
		n += times
	}
	return n
}

const slowFunction = `
import os, time, urllib.request
def handler(event, context):
    time.sleep(event["ms"] / 1000)
    urllib.request.urlopen(os.environ["COLLECTOR"] + "/function", data=event["id"].encode()).read()
`

// TestKillEvents: the server is killed (kill -9) between the PUBACK of a
// message and the end of the function that its rule started, and while a rule
// still talks to a slow destination. After the next start each of them happens:
// at least once for every message that was acknowledged.
func TestKillEvents(t *testing.T) {
	if out, err := exec.Command("python3", "--version").CombinedOutput(); err != nil {
		t.Skipf("LEFT OUT: python3 is not here: %v %s", err, out)
	}
	rounds := 3
	if long() {
		rounds = 25
	}
	there := newCollector(t)
	binary, data := real(t), filepath.Join(t.TempDir(), "data")
	p := start(t, binary, data)
	key, secret := p.key, p.secret
	prepareEvents(t, newClient(p.addr, key, secret), there)
	random := rand.New(rand.NewPCG(3, 4))
	var acked []string
	for round := range rounds {
		if round > 0 {
			p = start(t, binary, data)
		}
		acked = append(acked, publishUntilKilled(t, p, newClient(p.addr, key, secret), round, 10+random.IntN(20))...)
	}
	left := len(there.missing(acked))
	if left == 0 {
		t.Error("nothing was left to do when the server was killed: the test shows nothing")
	}
	start(t, binary, data)
	if !await.Within(await.Patience, func() bool { return len(there.missing(acked)) == 0 }) {
		missing := there.missing(acked)
		t.Fatalf("%d of %d acknowledged messages did not have their effect: %s", len(missing), len(acked), strings.Join(missing, ", "))
	}
	t.Logf("%d messages were acknowledged in %d lives; %d effects were left to the last start; %d happened in all, of %d", len(acked), rounds, left, there.total(), 2*len(acked))
}

// publishUntilKilled publishes from several connections, by MQTT over WebSocket
// and by HTTP, kills the server after so many acknowledgements and returns the
// ids of what was acknowledged.
func publishUntilKilled(t *testing.T, p *process, c *client, round, most int) []string {
	var mu sync.Mutex
	var acked []string
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			send := func(payload string) error { _, err := c.publish(ctx, "events", payload); return err }
			if w%2 == 0 {
				m, err := mqtt.ConnectSigV4(ctx, mqtt.Config{Endpoint: "http://" + p.addr, ClientID: fmt.Sprintf("w%d", w), Region: region,
					Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c.creds, nil })})
				if err != nil {
					t.Error(err)
					return
				}
				defer m.Close()
				send = func(payload string) error {
					return m.Publish(ctx, mqtt.Message{Topic: "events", Payload: []byte(payload), QoS: 1})
				}
			}
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", round, w, n)
				if send(fmt.Sprintf(`{"id":%q,"ms":%d}`, id, n*37%200)) != nil {
					return // the server is gone
				}
				mu.Lock()
				acked = append(acked, id)
				if len(acked) == most {
					close(done)
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-done:
	case <-ctx.Done():
		t.Error("too few acknowledgements within a minute")
	}
	p.kill()
	cancel()
	work.Wait()
	return acked
}

// makeFunction makes a function in Python that knows where the collector is.
func makeFunction(t *testing.T, c *client, name, code string, role *string, there *collector) *lambda.CreateFunctionOutput {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("index.py")
	if err == nil {
		_, err = f.Write([]byte(code))
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	fn, err := c.lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: &name, Role: role, Runtime: lambdatypes.RuntimePython311, Handler: aws.String("index.handler"),
		Timeout: aws.Int32(60), Code: &lambdatypes.FunctionCode{ZipFile: b.Bytes()}, Environment: &lambdatypes.Environment{Variables: map[string]string{"COLLECTOR": there.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	return fn
}

// prepareEvents makes the function, and a rule that starts it and posts to
// there.
func prepareEvents(t *testing.T, c *client, there *collector) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	defer c.close()
	role, err := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("slow"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	must(err)
	fn := makeFunction(t, c, "slow", slowFunction, role.Role.Arn, there)
	_, err = c.lambda.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: aws.String("slow"), StatementId: aws.String("iot"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("iot.amazonaws.com")})
	must(err)
	_, err = c.iot.CreateTopicRuleDestination(ctx, &iot.CreateTopicRuleDestinationInput{DestinationConfiguration: &iottypes.TopicRuleDestinationConfiguration{
		HttpUrlConfiguration: &iottypes.HttpUrlDestinationConfiguration{ConfirmationUrl: aws.String(there.URL + "/confirm")}}})
	must(err)
	select {
	case token := <-there.tokens:
		_, err = c.iot.ConfirmTopicRuleDestination(ctx, &iot.ConfirmTopicRuleDestinationInput{ConfirmationToken: &token})
		must(err)
	case <-time.After(await.Patience):
		t.Fatal("nobody asked for the confirmation")
	}
	rule := func(name, sql string, a iottypes.Action) {
		t.Helper()
		_, err := c.iot.CreateTopicRule(ctx, &iot.CreateTopicRuleInput{RuleName: &name, TopicRulePayload: &iottypes.TopicRulePayload{Sql: &sql, AwsIotSqlVersion: aws.String("2016-03-23"), Actions: []iottypes.Action{a}}})
		must(err)
	}
	rule("start", "SELECT id, ms FROM 'events'", iottypes.Action{Lambda: &iottypes.LambdaAction{FunctionArn: fn.FunctionArn}})
	rule("post", "SELECT VALUE id FROM 'events'", iottypes.Action{Http: &iottypes.HttpAction{Url: aws.String(there.URL + "/rule"), ConfirmationUrl: aws.String(there.URL + "/confirm")}})
}
