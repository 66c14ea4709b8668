package links_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"strait"
	"strait/await"
	"strait/server"
	"strait/setup"
)

// The cast. Names of what setup makes are its defaults.
const (
	thing        = "device00"
	bucket       = "bucket"
	thingPolicy  = setup.DefaultThingPolicy
	functionName = "create-token"
	functionRole = "create-token"
	uploadRole   = "s3-role"
	ruleName     = "create_token"
	topicRole    = "sts-sample-role"
	topic        = "test"
	client       = "viewer"   // the topic pattern's MQTT client
	caller       = "client"   // the IAM user behind it
	operator     = "operator" // the IAM user who wires rule and function
)

// patience is how long anything here may take.
const patience = await.Patience

// A house is a server with both patterns set up, and who lives in it.
type house struct {
	t     *testing.T // of the subtest that runs
	ctx   context.Context
	ready server.Ready
	place strait.Place
	pool  *x509.CertPool

	admin    *setup.Session
	operator *lambda.Client
	caller   aws.Config

	certificate   string // id
	device        tls.Certificate
	functionRole  strait.ARN
	wired         bool // the function has its role, and the operator is not asked again
	topicRole     strait.ARN
	sessionPolicy string // what the topic pattern's client asks for
	count         int    // of runs
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// open starts a server and sets both patterns up in it.
func open(t *testing.T, v variant) *house {
	t.Helper()
	h := &house{t: t, place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}}
	var stop context.CancelFunc
	h.ctx, stop = context.WithTimeout(context.Background(), 15*time.Minute)
	t.Cleanup(stop)
	s, err := server.Start(h.ctx, server.Config{Data: t.TempDir(), Place: h.place, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"}})
	h.must(err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("close the server:", err)
		}
	})
	h.ready = s.Ready()
	ca, err := os.ReadFile(h.ready.CA)
	h.must(err)
	h.pool = x509.NewCertPool()
	h.pool.AppendCertsFromPEM(ca)
	h.environment()
	h.admin, err = setup.NewSession(h.ctx)
	h.must(err)
	h.uploadPattern(v)
	h.topicPattern(v)
	return h
}

// environment is what strait env would print: setup, and strait itself, read it.
func (h *house) environment() {
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": "https://" + h.ready.HTTPS[0], "AWS_CA_BUNDLE": h.ready.CA, "AWS_REGION": h.place.Region,
		"AWS_SHARED_CREDENTIALS_FILE": h.ready.Credentials, "AWS_CONFIG_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		h.t.Setenv(name, value)
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		value, ok := os.LookupEnv(name)
		h.must(os.Unsetenv(name))
		if ok {
			h.t.Cleanup(func() { os.Setenv(name, value) })
		}
	}
}

// config are the settings of an SDK client that acts with these credentials.
func (h *house) config(c aws.CredentialsProvider) aws.Config {
	return aws.Config{Region: h.place.Region, BaseEndpoint: aws.String(h.admin.Endpoint), Credentials: c, RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: h.tls()}, Timeout: patience}}
}

func (h *house) tls() *tls.Config { return &tls.Config{RootCAs: h.pool} }

// user makes an IAM user with one policy, called after it.
func (h *house) user(name string, statements ...map[string]any) (aws.Config, strait.ARN) {
	h.t.Helper()
	doc, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	h.must(err)
	made, err := h.admin.IAM.CreateUser(h.ctx, &iam.CreateUserInput{UserName: &name})
	h.must(err)
	_, err = h.admin.IAM.PutUserPolicy(h.ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: &name, PolicyDocument: aws.String(string(doc))})
	h.must(err)
	key, err := h.admin.IAM.CreateAccessKey(h.ctx, &iam.CreateAccessKeyInput{UserName: &name})
	h.must(err)
	return h.config(credentials.NewStaticCredentialsProvider(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")), strait.ARN(*made.User.Arn)
}

func allow(action string, resource strait.ARN) map[string]any {
	return map[string]any{"Effect": "Allow", "Action": action, "Resource": string(resource)}
}

// uploadPattern sets P1 up, with an operator who may do no more than wire it.
func (h *house) uploadPattern(v variant) {
	h.t.Helper()
	dir := h.t.TempDir()
	th, err := setup.Thing(h.ctx, h.admin, thing, dir)
	h.must(err)
	h.device, err = tls.LoadX509KeyPair(th.Certificate, th.Key)
	h.must(err)
	h.certificate = certificateID(h.device)
	// The function runs natively here: of what the zip holds for AWS, any
	// program of this machine will do.
	bootstrap, err := exec.LookPath("true")
	h.must(err)
	r, err := setup.Upload(h.ctx, h.admin, setup.UploadInput{Bucket: bucket, Things: []string{thing}, TrustAccount: v == byAccount, Strict: true, VendFile: bootstrap})
	h.must(err)
	h.functionRole = r.FunctionRole
	cfg, _ := h.user(operator, allow("lambda:*", "*"), allow("iam:PassRole", r.FunctionRole))
	h.operator = lambda.NewFromConfig(cfg)
}

// topicPattern sets P2 up, with a caller who may do no more than take its role.
func (h *house) topicPattern(v variant) {
	h.t.Helper()
	cfg, arn := h.user(caller, allow("sts:AssumeRole", h.place.IAM("role/"+topicRole)))
	h.caller = cfg
	in := setup.TopicInput{Topic: topic, Role: topicRole}
	if v == byARN {
		in.TrustPrincipal = string(arn)
	}
	r, err := setup.Topic(h.ctx, h.admin, in)
	h.must(err)
	h.topicRole, h.sessionPolicy = r.RoleARN, r.SessionPolicy
}

// until asks again and again until ok, and fails after a while.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	await.Until(h.t, what, ok)
}

var errNoAnswer = errors.New("no credentials came")
