package power_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"strait/await"
	mqtt "strait/device"
)

// TestKillEngines: the server is killed (kill -9) while shadows are updated,
// schedules are made and fall due, objects whose bucket tells a function are
// put, and messages go through a rule that republishes them and writes them to
// a bucket. Afterwards:
//
//   - a shadow has every update that was told on /accepted or by 200; versions
//     never go back, and none is given out twice;
//   - each schedule that was acknowledged is there, and was called, also when it
//     fell due while nobody ran;
//   - each object that was acknowledged reached the function;
//   - each message that was acknowledged reached a persistent subscriber and
//     the bucket.
func TestKillEngines(t *testing.T) {
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
	e := &engines{T: t, there: there, versions: map[int64]bool{}}
	e.prepare(newClient(p.addr, key, secret))
	random := rand.New(rand.NewPCG(5, 6))
	for round := range rounds {
		if round > 0 {
			p = start(t, binary, data)
			e.checkShadow(newClient(p.addr, key, secret))
		}
		e.workUntilKilled(p, newClient(p.addr, key, secret), round, 40+random.IntN(60))
		// Some schedules fall due while nobody runs.
		if e.due.IsZero() {
			t.Error("no schedule was acknowledged in this life")
		}
		time.Sleep(time.Until(e.due.Add(-time.Second)))
	}
	left := len(e.missing())
	p = start(t, binary, data)
	c := newClient(p.addr, key, secret)
	defer c.close()
	e.checkShadow(c)
	e.checkSchedules(c)
	e.checkMessages(c)
	if !await.Within(await.Patience, func() bool { return len(e.missing()) == 0 }) {
		missing := e.missing()
		t.Fatalf("%d acknowledged things did not have their effect: %s", len(missing), strings.Join(missing, ", "))
	}
	t.Logf("%d lives: %d versions of a shadow, %d schedules (%d calls), %d objects, %d messages; %d effects were left to the last start",
		rounds, len(e.versions), len(e.schedules), there.under("/schedule "), len(e.objects), len(e.messages), left)
}

// engines is what was acknowledged.
type engines struct {
	*testing.T
	there *collector
	role  *string
	tell  *string // the function's ARN

	mu         sync.Mutex
	versions   map[int64]bool // of the shadow, in all lives
	floor      int64          // the largest of them when this life began
	mqtt, http int            // last values of each writer
	schedules  []string
	objects    []string
	messages   []string
	due        time.Time // of the last schedule of a life
}

const tellFunction = `
import os, urllib.parse, urllib.request
def tell(what, id):
    urllib.request.urlopen(os.environ["COLLECTOR"] + "/" + what, data=id.encode()).read()
def handler(event, context):
    if "schedule" in event:
        tell("schedule", event["schedule"])
    for r in event.get("Records", []):
        tell("object", urllib.parse.unquote_plus(r["s3"]["object"]["key"]))
`

func (e *engines) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *engines) prepare(c *client) {
	ctx := e.Context()
	defer c.close()
	role, err := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("all"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","iot.amazonaws.com","scheduler.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`)})
	e.must(err)
	_, err = c.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("all"), PolicyName: aws.String("all"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)})
	e.must(err)
	e.role = role.Role.Arn
	fn := makeFunction(e.T, c, "tell", tellFunction, e.role, e.there)
	e.tell = fn.FunctionArn
	_, err = c.lambda.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: aws.String("tell"), StatementId: aws.String("s3"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("s3.amazonaws.com"), SourceArn: aws.String("arn:aws:s3:::" + bucket)})
	e.must(err)
	_, err = c.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	e.must(err)
	_, err = c.s3.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: aws.String(bucket), NotificationConfiguration: &s3types.NotificationConfiguration{
		LambdaFunctionConfigurations: []s3types.LambdaFunctionConfiguration{{LambdaFunctionArn: e.tell, Events: []s3types.Event{"s3:ObjectCreated:*"},
			Filter: &s3types.NotificationConfigurationFilter{Key: &s3types.S3KeyFilter{FilterRules: []s3types.FilterRule{{Name: "prefix", Value: aws.String("put/")}}}}}}}})
	e.must(err)
	_, err = c.iot.CreateTopicRule(ctx, &iot.CreateTopicRuleInput{RuleName: aws.String("work"), TopicRulePayload: &iottypes.TopicRulePayload{
		Sql: aws.String("SELECT VALUE id FROM 'work'"), AwsIotSqlVersion: aws.String("2016-03-23"), Actions: []iottypes.Action{
			{Republish: &iottypes.RepublishAction{RoleArn: e.role, Topic: aws.String("out"), Qos: aws.Int32(1)}},
			{S3: &iottypes.S3Action{RoleArn: e.role, BucketName: aws.String(bucket), Key: aws.String("rule/${id}")}},
		}}})
	e.must(err)
	keeper, err := c.connect(ctx, "keeper", false)
	e.must(err)
	defer keeper.close()
	e.must(keeper.subscribe(ctx, "out", new(ack)))
}

// workUntilKilled works in several ways at once, kills the server after so
// many acknowledgements and remembers them.
func (e *engines) workUntilKilled(p *process, c *client, round, most int) {
	ctx, cancel := context.WithTimeout(e.Context(), time.Minute)
	defer cancel()
	for v := range e.versions {
		e.floor = max(e.floor, v)
	}
	e.due = time.Time{}
	var work sync.WaitGroup
	n, done := 0, make(chan struct{})
	end := sync.OnceFunc(func() { close(done) })
	// worker calls do until it fails, for then the server is gone; do returns
	// what is to be remembered.
	worker := func(do func(i int) (func(), error)) {
		work.Go(func() {
			for i := 0; ; i++ {
				remember, err := do(i)
				if err != nil {
					select {
					case <-done:
					default:
						e.Errorf("before the server was killed: %v", err)
					}
					return
				}
				e.mu.Lock()
				remember()
				// Others may be much faster than who makes schedules.
				if n++; n >= most && !e.due.IsZero() {
					end()
				}
				e.mu.Unlock()
			}
		})
	}
	connection, err := mqtt.ConnectSigV4(ctx, mqtt.Config{Endpoint: "http://" + p.addr, Thing: "thing", ClientID: fmt.Sprintf("life-%d", round), Region: region, CleanSession: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c.creds, nil })})
	e.must(err)
	defer connection.Close()
	shadow, err := connection.Shadow("")
	e.must(err)
	worker(func(i int) (func(), error) {
		n := round*10_000 + i
		told, err := shadow.Update(ctx, mqtt.ShadowUpdate{Reported: map[string]int{"mqtt": n}})
		return func() { e.version(told.Version); e.mqtt = n }, err
	})
	worker(func(i int) (func(), error) {
		n := round*10_000 + i
		b, _, err := c.ask(ctx, "iotdata", http.MethodPost, "/things/thing/shadow", fmt.Sprintf(`{"state":{"reported":{"http":%d}}}`, n))
		var told struct{ Version int64 }
		if err == nil {
			err = json.Unmarshal(b, &told)
		}
		return func() { e.version(told.Version); e.http = n }, err
	})
	worker(func(i int) (func(), error) {
		id := fmt.Sprintf("s-%d-%d", round, i)
		due := time.Now().Add(time.Duration(1+i%4) * time.Second).UTC().Truncate(time.Second)
		_, _, err := c.ask(ctx, "scheduler", http.MethodPost, "/schedules/"+id, fmt.Sprintf(
			`{"ScheduleExpression":"at(%s)","FlexibleTimeWindow":{"Mode":"OFF"},"Target":{"Arn":%q,"RoleArn":%q,"Input":"{\"schedule\":\"%s\"}"}}`,
			due.Format("2006-01-02T15:04:05"), *e.tell, *e.role, id))
		err = errors.Join(err, pause(ctx, done, 50*time.Millisecond)) // each of them is a call
		return func() {
			e.schedules = append(e.schedules, id)
			if due.After(e.due) {
				e.due = due
			}
		}, err
	})
	worker(func(i int) (func(), error) {
		key := fmt.Sprintf("put/%d-%d", round, i)
		_, err := c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(key)})
		err = errors.Join(err, pause(ctx, done, 20*time.Millisecond))
		return func() { e.objects = append(e.objects, key) }, err
	})
	worker(func(i int) (func(), error) {
		id := fmt.Sprintf("%d-%d", round, i)
		err := connection.Publish(ctx, mqtt.Message{Topic: "work", Payload: []byte(`{"id":"` + id + `"}`), QoS: 1})
		return func() { e.messages = append(e.messages, id) }, err
	})
	select {
	case <-done:
	case <-ctx.Done():
		e.Error("too few acknowledgements within a minute")
	}
	p.kill()
	cancel()
	work.Wait()
	c.close()
}

// pause leaves the others room; it is over when the server is to be killed.
func pause(ctx context.Context, done chan struct{}, d time.Duration) error {
	select {
	case <-done:
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// version remembers a version that was told; the lock is held.
func (e *engines) version(v int64) {
	switch {
	case e.versions[v]:
		e.Errorf("version %d of the shadow was given out twice", v)
	case v <= e.floor:
		e.Errorf("version %d of the shadow was given out after %d had been", v, e.floor)
	}
	e.versions[v] = true
}

func (e *engines) checkShadow(c *client) {
	e.Helper()
	b, _, err := c.ask(e.Context(), "iotdata", http.MethodGet, "/things/thing/shadow", "")
	e.must(err)
	var got struct {
		State   struct{ Reported struct{ Mqtt, Http int } }
		Version int64
	}
	e.must(json.Unmarshal(b, &got))
	var most int64
	for v := range e.versions {
		most = max(most, v)
	}
	if r := got.State.Reported; got.Version < most || r.Mqtt < e.mqtt || r.Http < e.http {
		e.Errorf("the shadow after the kill: %s; version %d, mqtt %d and http %d were acknowledged", b, most, e.mqtt, e.http)
	}
}

func (e *engines) checkSchedules(c *client) {
	e.Helper()
	for _, id := range e.schedules {
		if _, _, err := c.ask(e.Context(), "scheduler", http.MethodGet, "/schedules/"+id, ""); err != nil {
			e.Errorf("an acknowledged schedule: %v", err)
		}
	}
}

func (e *engines) checkMessages(c *client) {
	e.Helper()
	keeper, err := c.connect(e.Context(), "keeper", false)
	e.must(err)
	defer keeper.close()
	want := map[string]bool{}
	for _, id := range e.messages {
		want[`"`+id+`"`] = true
	}
	for end := time.After(deviceWait); len(want) > 0; {
		select {
		case p, ok := <-keeper.received:
			if !ok {
				e.Fatalf("the connection ended: %v", keeper.err)
			}
			delete(want, string(p.Payload))
		case <-end:
			e.Fatalf("%d acknowledged messages were not republished: %v", len(want), want)
		}
	}
	for _, id := range e.messages {
		await.Until(e, "the object of message "+id, func() bool {
			_, b, err := c.get(e.Context(), "rule/"+id)
			return err == nil && string(b) == `"`+id+`"`
		})
	}
}

// missing lists what the function was not called for.
func (e *engines) missing() (out []string) {
	e.there.mu.Lock()
	defer e.there.mu.Unlock()
	for what, ids := range map[string][]string{"/schedule ": e.schedules, "/object ": e.objects} {
		for _, id := range ids {
			if e.there.seen[what+id] == 0 {
				out = append(out, what+id)
			}
		}
	}
	slices.Sort(out)
	return out
}

// under counts what came on a path.
func (c *collector) under(path string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, times := range c.seen {
		if strings.HasPrefix(what, path) {
			n += times
		}
	}
	return n
}
