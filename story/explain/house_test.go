package explain_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	paho "github.com/eclipse/paho.mqtt.golang"

	"strait"
	"strait/await"
	"strait/function"
	"strait/server"
	"strait/setup"
)

// program is the strait binary, built once.
var program string

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	dir, err := os.MkdirTemp("", "strait-explain-")
	if err == nil {
		program = filepath.Join(dir, "strait")
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", program, "strait/cmd/strait")
		cmd.Stderr = os.Stderr
		err = cmd.Run()
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "build strait:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

const patience = await.Patience

// A house is a server, its administrator, and who makes a mistake in it.
type house struct {
	t     *testing.T // of the subtest that runs
	ctx   context.Context
	ready server.Ready
	place strait.Place
	pool  *x509.CertPool
	admin *setup.Session

	session string // the session policy of the mistake at hand
	count   int
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}}
	var stop context.CancelFunc
	h.ctx, stop = context.WithTimeout(context.Background(), 15*time.Minute)
	t.Cleanup(stop)
	s, err := server.Start(h.ctx, server.Config{Data: t.TempDir(), Place: h.place, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"}})
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
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": "https://" + h.ready.HTTPS[0], "AWS_CA_BUNDLE": h.ready.CA, "AWS_REGION": h.place.Region,
		"AWS_SHARED_CREDENTIALS_FILE": h.ready.Credentials, "AWS_CONFIG_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_PROFILE": "default",
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if value, ok := os.LookupEnv(name); ok {
			h.must(os.Unsetenv(name))
			t.Cleanup(func() { os.Setenv(name, value) })
		}
	}
	h.admin, err = setup.NewSession(h.ctx)
	h.must(err)
	_, err = h.admin.S3.CreateBucket(h.ctx, &s3.CreateBucketInput{Bucket: aws.String("data")})
	h.must(err)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// name makes a name that nobody has.
func (h *house) name(kind string) string {
	h.count++
	return fmt.Sprintf("%s%d", kind, h.count)
}

// strait runs the program and returns what it prints.
func (h *house) strait(args ...string) (string, error) {
	h.t.Helper()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(h.ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("strait %v: %w: %s", args, err, problems.String())
	}
	return out.String(), nil
}

func doc(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

func trusting(arn strait.ARN) string {
	return doc(`{"Effect":"Allow","Principal":{"AWS":"` + string(arn) + `"},"Action":"sts:AssumeRole"}`)
}

func (h *house) config(c aws.CredentialsProvider) aws.Config {
	return aws.Config{Region: h.place.Region, BaseEndpoint: aws.String(h.admin.Endpoint), Credentials: c, RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.pool}}, Timeout: patience}}
}

// user makes a user with one inline policy, "" for none.
func (h *house) user(policy string) (aws.Config, strait.ARN) {
	h.t.Helper()
	name := h.name("user")
	made, err := h.admin.IAM.CreateUser(h.ctx, &iam.CreateUserInput{UserName: &name})
	h.must(err)
	if policy != "" {
		_, err = h.admin.IAM.PutUserPolicy(h.ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("own"), PolicyDocument: &policy})
		h.must(err)
	}
	key, err := h.admin.IAM.CreateAccessKey(h.ctx, &iam.CreateAccessKeyInput{UserName: &name})
	h.must(err)
	return h.config(credentials.NewStaticCredentialsProvider(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")), strait.ARN(*made.User.Arn)
}

// role makes a role with one inline policy, "" for none.
func (h *house) role(trust, policy string) strait.ARN {
	h.t.Helper()
	name := h.name("role")
	made, err := h.admin.IAM.CreateRole(h.ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	h.must(err)
	if policy != "" {
		_, err = h.admin.IAM.PutRolePolicy(h.ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("own"), PolicyDocument: &policy})
		h.must(err)
	}
	return strait.ARN(*made.Role.Arn)
}

// assume takes a role with the session policy of the mistake at hand.
func (h *house) assume(c aws.Config, role strait.ARN, more ...func(*sts.AssumeRoleInput)) (aws.Config, error) {
	in := &sts.AssumeRoleInput{RoleArn: aws.String(string(role)), RoleSessionName: aws.String("someone")}
	if h.session != "" {
		in.Policy = &h.session
	}
	for _, f := range more {
		f(in)
	}
	out, err := sts.NewFromConfig(c).AssumeRole(h.ctx, in)
	if err != nil {
		return c, err
	}
	k := out.Credentials
	return h.config(credentials.NewStaticCredentialsProvider(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken)), nil
}

func (h *house) s3(c aws.Config) *s3.Client {
	return s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
}

func (h *house) put(c aws.Config, key string) error {
	_, err := h.s3(c).PutObject(h.ctx, &s3.PutObjectInput{Bucket: aws.String("data"), Key: &key, Body: bytes.NewReader([]byte("x"))})
	return err
}

// certificate makes one with an IoT policy of its own, "" for none.
func (h *house) certificate(policy string) (tls.Certificate, string) {
	h.t.Helper()
	key, err := h.admin.IoT.CreateKeysAndCertificate(h.ctx, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
	h.must(err)
	pair, err := tls.X509KeyPair([]byte(*key.CertificatePem), []byte(*key.KeyPair.PrivateKey))
	h.must(err)
	if policy != "" {
		name := h.name("things")
		_, err = h.admin.IoT.CreatePolicy(h.ctx, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &policy})
		h.must(err)
		_, err = h.admin.IoT.AttachPolicy(h.ctx, &iot.AttachPolicyInput{PolicyName: &name, Target: key.CertificateArn})
		h.must(err)
	}
	return pair, *key.CertificateArn
}

// A client is a plain MQTT 3.1.1 client that tries once and knows when it was
// cut off.
type client struct {
	paho.Client
	lost chan error
	came chan paho.Message
}

func (h *house) dial(pair tls.Certificate, id string, more ...func(*paho.ClientOptions)) (*client, error) {
	c := &client{lost: make(chan error, 1), came: make(chan paho.Message, 8)}
	o := paho.NewClientOptions().AddBroker("tls://" + h.ready.MQTT[0]).SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false).
		SetConnectTimeout(patience).SetTLSConfig(&tls.Config{RootCAs: h.pool, Certificates: []tls.Certificate{pair}}).
		SetConnectionLostHandler(func(_ paho.Client, err error) { c.lost <- err }).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { c.came <- m })
	for _, f := range more {
		f(o)
	}
	c.Client = paho.NewClient(o)
	return c, c.do(c.Connect())
}

// do waits for what the client was told to do.
func (c *client) do(t paho.Token) error {
	select {
	case <-t.Done():
		if err := t.Error(); err != nil {
			return err
		}
		if s, ok := t.(*paho.SubscribeToken); ok {
			for filter, code := range s.Result() {
				if code == 0x80 {
					return errors.New("the subscription to " + filter + " was not granted")
				}
			}
		}
		return nil
	case err := <-c.lost:
		return fmt.Errorf("the connection was closed: %w", err)
	case <-time.After(patience):
		return errors.New("nothing happened for " + patience.String())
	}
}
