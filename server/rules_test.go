package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/await"
	"strait/server"
	"strait/setup"
)

const ruleAccount = "123456789012"

// ruleHouse is a server with a device that may publish to in/*, and a bucket.
type ruleHouse struct {
	t       *testing.T
	admin   *setup.Session
	publish func(topic, payload string)
}

func openRules(t *testing.T) *ruleHouse {
	s, err := server.Start(t.Context(), server.Config{
		Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: ruleAccount}, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, HTTPSCert: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r := s.Ready()
	t.Setenv("AWS_ENDPOINT_URL", "https://"+r.HTTPS[0])
	t.Setenv("AWS_CA_BUNDLE", r.CA)
	t.Setenv("AWS_REGION", r.Region)
	h := &ruleHouse{t: t}
	if h.admin, err = setup.NewSession(t.Context(), config.WithSharedCredentialsFiles([]string{r.Credentials})); err != nil {
		t.Fatal(err)
	}
	thing, err := setup.Thing(t.Context(), h.admin, "device00", t.TempDir())
	h.must(err)
	pair, err := tls.LoadX509KeyPair(thing.Certificate, thing.Key)
	h.must(err)
	ca, err := os.ReadFile(r.CA)
	h.must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:ap-northeast-1:` + ruleAccount + `:topic/in/*"}]}`
	_, err = h.admin.IoT.CreatePolicy(t.Context(), &iot.CreatePolicyInput{PolicyName: aws.String("in"), PolicyDocument: &doc})
	h.must(err)
	certs, err := h.admin.IoT.ListCertificates(t.Context(), &iot.ListCertificatesInput{})
	h.must(err)
	_, err = h.admin.IoT.AttachPolicy(t.Context(), &iot.AttachPolicyInput{PolicyName: aws.String("in"), Target: certs.Certificates[0].CertificateArn})
	h.must(err)
	_, err = h.admin.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("results")})
	h.must(err)
	web := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}}
	h.publish = func(topic, payload string) {
		t.Helper()
		resp, err := web.Post("https://"+r.HTTPSCert[0]+"/topics/"+strings.ReplaceAll(topic, "/", "%2F")+"?qos=1", "application/json", strings.NewReader(payload))
		h.must(err)
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
			t.Fatalf("publish to %s: %d %s", topic, resp.StatusCode, b)
		}
	}
	return h
}

func (h *ruleHouse) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// role makes a role that service may take, and that may do one thing.
func (h *ruleHouse) role(name, service, action, resource string) *string {
	h.t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
	out, err := h.admin.IAM.CreateRole(h.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	h.must(err)
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
	_, err = h.admin.IAM.PutRolePolicy(h.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &name, PolicyDocument: &doc})
	h.must(err)
	return out.Role.Arn
}

func (h *ruleHouse) rule(name, sql string, action types.Action, onError *types.Action) {
	h.t.Helper()
	_, err := h.admin.IoT.CreateTopicRule(h.t.Context(), &iot.CreateTopicRuleInput{RuleName: &name, TopicRulePayload: &types.TopicRulePayload{
		Sql: &sql, AwsIotSqlVersion: aws.String("2016-03-23"), Actions: []types.Action{action}, ErrorAction: onError,
	}})
	h.must(err)
}

// object waits for an object of the bucket and returns it.
func (h *ruleHouse) object(key string) string {
	h.t.Helper()
	var b []byte
	await.Until(h.t, "the object "+key, func() bool {
		out, err := h.admin.S3.GetObject(h.t.Context(), &s3.GetObjectInput{Bucket: aws.String("results"), Key: &key})
		if err != nil {
			return false
		}
		defer out.Body.Close()
		b, err = io.ReadAll(out.Body)
		h.must(err)
		return true
	})
	return string(b)
}

// TestRuleActions: republish and s3 act as their roles, which must trust
// iot.amazonaws.com and allow it; what fails comes to the error action; rules
// that feed each other come to an end.
func TestRuleActions(t *testing.T) {
	h := openRules(t)
	iotARN := "arn:aws:iot:ap-northeast-1:" + ruleAccount + ":topic/"
	speak := h.role("speak", "iot.amazonaws.com", "iot:Publish", iotARN+"out/*")
	store := h.role("store", "iot.amazonaws.com", "s3:PutObject", "arn:aws:s3:::results/*")
	others := h.role("others", "iot.amazonaws.com", "iot:Publish", iotARN+"*")
	republish := func(role *string, topic string) types.Action {
		return types.Action{Republish: &types.RepublishAction{RoleArn: role, Topic: &topic, Qos: aws.Int32(1)}}
	}
	keep := func(key string) types.Action {
		return types.Action{S3: &types.S3Action{RoleArn: store, BucketName: aws.String("results"), Key: &key}}
	}

	// From rule to rule: the template is filled in from the message.
	h.rule("first", "SELECT v * 2 AS w FROM 'in/first/+'", republish(speak, "out/${topic(3)}/${v}"), nil)
	h.rule("second", "SELECT *, topic() AS t, principal() AS p, clientid() AS c FROM 'out/#'", keep("second/${topic(2)}.json"), nil)
	h.publish("in/first/a", `{"v":21}`)
	got := h.object("second/a.json")
	if !strings.HasPrefix(got, `{"w":42,"t":"out/a/21","p":"AROA`) || !strings.HasSuffix(got, `:rule-first","c":"n/a"}`) {
		t.Errorf("from rule to rule: got %s", got)
	}

	// Headers become properties, which the next rule sees.
	with := republish(speak, "out/headed")
	with.Republish.Headers = &types.MqttHeaders{
		ContentType: aws.String("text/${v}"), PayloadFormatIndicator: aws.String("UTF8_DATA"), CorrelationData: aws.String("aGk="), MessageExpiry: aws.String("60"),
		UserProperties: []types.UserProperty{{Key: aws.String("k"), Value: aws.String("${topic(1)}")}},
	}
	h.rule("headed", "SELECT v FROM 'in/headed'", with, nil)
	h.rule("seen", "SELECT get_mqtt_property('content_type') AS c, get_mqtt_property('format_indicator') AS f, get_mqtt_property('correlation_data') AS d, get_user_properties('k') AS k FROM 'out/headed'", keep("headed"), nil)
	h.publish("in/headed", `{"v":"plain"}`)
	if got := h.object("headed"); got != `{"c":"text/plain","f":"UTF8_DATA","d":"aGk=","k":["in"]}` {
		t.Errorf("headers: got %s", got)
	}

	// Bytes are passed on as they are.
	h.rule("bytes", "SELECT * FROM 'in/bytes'", keep("bytes"), nil)
	h.publish("in/bytes", "\x00\xff no JSON")
	if got := h.object("bytes"); got != "\x00\xff no JSON" {
		t.Errorf("bytes: got %q", got)
	}

	// A role that does not allow it, and one that trusts the service no more.
	onError := keep("failed/${topic(2)}.json")
	h.rule("forbidden", "SELECT * FROM 'in/forbidden'", republish(speak, "elsewhere"), &onError)
	h.rule("untrusting", "SELECT * FROM 'in/untrusting'", republish(others, "out/x"), &onError)
	_, err := h.admin.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("others"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	h.must(err)
	for topic, says := range map[string]string{"forbidden": "iot:Publish", "untrusting": "sts:AssumeRole"} {
		h.publish("in/"+topic, `{}`)
		got := h.object("failed/" + topic + ".json")
		if !strings.Contains(got, `"failedAction":"RepublishAction"`) || !strings.Contains(got, says) || !strings.Contains(got, `"base64OriginalPayload":"e30="`) {
			t.Errorf("%s: got %s", topic, got)
		}
	}

	// A rule that feeds itself.
	loop := h.role("loop", "iot.amazonaws.com", "iot:Publish", iotARN+"in/loop")
	h.rule("loop", "SELECT n + 1 AS n FROM 'in/loop'", republish(loop, "in/loop"), &onError)
	h.publish("in/loop", `{"n":0}`)
	if got := h.object("failed/loop.json"); !strings.Contains(got, "eyJuIjo4fQ==") || !strings.Contains(got, "republished 8 times") { // {"n":8}
		t.Errorf("loop: got %s", got)
	}

	// A function of the SQL asks as its role.
	look := h.role("look", "iot.amazonaws.com", "iot:DescribeThing", "*")
	h.rule("registry", "SELECT get_registry_data('DescribeThing', 'device00', '"+*look+"').thingName AS n FROM 'in/registry'", keep("registry"), nil)
	h.publish("in/registry", `{}`)
	if got := h.object("registry"); got != `{"n":"device00"}` {
		t.Errorf("registry: got %s", got)
	}
}

// TestHTTPAction: a destination must confirm before a rule may post there.
func TestHTTPAction(t *testing.T) {
	h := openRules(t)
	tokens, bodies := make(chan string, 10), make(chan string, 10)
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Header.Get("x-amz-rules-engine-message-type") == "DestinationConfirmation" {
			tokens <- r.URL.Query().Get("confirmationToken")
			return
		}
		bodies <- r.URL.Path + " " + r.Header.Get("X-Device") + " " + r.Header.Get("Content-Type") + " " + string(b)
	}))
	t.Cleanup(there.Close)
	store := h.role("store", "iot.amazonaws.com", "s3:PutObject", "arn:aws:s3:::results/*")
	failed := types.Action{S3: &types.S3Action{RoleArn: store, BucketName: aws.String("results"), Key: aws.String("failed")}}
	h.rule("post", "SELECT v FROM 'in/post/+'", types.Action{Http: &types.HttpAction{
		Url: aws.String(there.URL + "/data/${topic(3)}"), ConfirmationUrl: aws.String(there.URL + "/confirm"),
		Headers: []types.HttpActionHeader{{Key: aws.String("X-Device"), Value: aws.String("${topic(3)}")}},
	}}, &failed)

	// Not before it is confirmed.
	made, err := h.admin.IoT.CreateTopicRuleDestination(t.Context(), &iot.CreateTopicRuleDestinationInput{DestinationConfiguration: &types.TopicRuleDestinationConfiguration{
		HttpUrlConfiguration: &types.HttpUrlDestinationConfiguration{ConfirmationUrl: aws.String(there.URL + "/confirm")},
	}})
	h.must(err)
	token := <-tokens
	h.publish("in/post/a", `{"v":1}`)
	if got := h.object("failed"); !strings.Contains(got, `"failedAction":"HttpAction"`) || !strings.Contains(got, "no enabled destination") {
		t.Errorf("unconfirmed: got %s", got)
	}
	wrong := "x" + token[1:]
	if _, err := h.admin.IoT.ConfirmTopicRuleDestination(t.Context(), &iot.ConfirmTopicRuleDestinationInput{ConfirmationToken: &wrong}); err == nil {
		t.Error("a wrong token confirms")
	}
	_, err = h.admin.IoT.ConfirmTopicRuleDestination(t.Context(), &iot.ConfirmTopicRuleDestinationInput{ConfirmationToken: &token})
	h.must(err)
	got, err := h.admin.IoT.GetTopicRuleDestination(t.Context(), &iot.GetTopicRuleDestinationInput{Arn: made.TopicRuleDestination.Arn})
	h.must(err)
	if got.TopicRuleDestination.Status != types.TopicRuleDestinationStatusEnabled || *got.TopicRuleDestination.HttpUrlProperties.ConfirmationUrl != there.URL+"/confirm" {
		t.Errorf("confirmed: got %+v", got.TopicRuleDestination)
	}
	h.publish("in/post/a", `{"v":2}`)
	select {
	case got := <-bodies:
		if got != `/data/a a application/json {"v":2}` {
			t.Errorf("posted %s", got)
		}
	case <-time.After(await.Patience):
		t.Fatal("nothing was posted")
	}

	// The others of its rows.
	_, err = h.admin.IoT.UpdateTopicRuleDestination(t.Context(), &iot.UpdateTopicRuleDestinationInput{Arn: made.TopicRuleDestination.Arn, Status: types.TopicRuleDestinationStatusDisabled})
	h.must(err)
	list, err := h.admin.IoT.ListTopicRuleDestinations(t.Context(), &iot.ListTopicRuleDestinationsInput{})
	h.must(err)
	if len(list.DestinationSummaries) != 1 || list.DestinationSummaries[0].Status != types.TopicRuleDestinationStatusDisabled {
		t.Errorf("listed %+v", list.DestinationSummaries)
	}
	_, err = h.admin.IoT.DeleteTopicRuleDestination(t.Context(), &iot.DeleteTopicRuleDestinationInput{Arn: made.TopicRuleDestination.Arn})
	h.must(err)
	if _, err := h.admin.IoT.GetTopicRuleDestination(t.Context(), &iot.GetTopicRuleDestinationInput{Arn: made.TopicRuleDestination.Arn}); err == nil {
		t.Error("deleted, and still there")
	}
}
