package links_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	paho "github.com/eclipse/paho.mqtt.golang"

	"strait/vend"
)

// certificateID is the id that AWS gives a certificate.
func certificateID(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// options are those of a plain MQTT 3.1.1 client that tries once.
func options(id string) *paho.ClientOptions {
	return paho.NewClientOptions().SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectTimeout(patience).SetKeepAlive(6 * time.Second)
}

// A mqttClient is a paho client that knows when it was cut off: one with a
// persistent session would hope on for what it was told to publish.
type mqttClient struct {
	paho.Client
	lost chan error
}

func newClient(o *paho.ClientOptions) mqttClient {
	c := mqttClient{lost: make(chan error, 1)}
	c.Client = paho.NewClient(o.SetConnectionLostHandler(func(_ paho.Client, err error) { c.lost <- err }))
	return c
}

// do waits for what the client was told to do.
func (c mqttClient) do(t paho.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case err := <-c.lost:
		return fmt.Errorf("the connection was closed: %w", err)
	case <-time.After(patience):
		return errors.New("nothing happened for " + patience.String())
	}
}

// upload runs the upload pattern once, as the operator and the device see it:
// the step at which it broke for them ("" for none), and how.
func (h *house) upload() (broke step, err error) {
	h.t.Helper()
	h.count++
	before := h.story(thing).broken()

	// 1. The operator gives the function its role (again, which changes nothing).
	if !h.wired {
		if _, err := h.operator.UpdateFunctionConfiguration(h.ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: aws.String(functionName), Role: aws.String(string(h.functionRole))}); err != nil {
			return wire, err
		}
	}

	// 2. The device asks for credentials.
	c := newClient(options(thing).AddBroker("tls://" + h.ready.MQTT[0]).
		SetTLSConfig(&tls.Config{RootCAs: h.pool, Certificates: []tls.Certificate{h.device}}))
	if err := c.do(c.Connect()); err != nil {
		return connect, err
	}
	defer c.Disconnect(0)
	token := fmt.Sprint("run-", h.count)
	answers := make(chan vend.Reply, 8)
	err = c.do(c.Subscribe(thing+"/token/res", 1, func(_ paho.Client, m paho.Message) {
		var r vend.Reply
		if json.Unmarshal(m.Payload(), &r) == nil && r.ClientToken == token {
			answers <- r
		}
	}))
	if err != nil {
		return subscribe, err
	}
	if err := c.do(c.Publish(thing+"/token/req", 1, false, `{"clientToken": "`+token+`"}`)); err != nil {
		return publish, err
	}

	// 3. They come, or the story says that they never will.
	var r vend.Reply
	h.until("the credentials come or the story breaks", func() bool {
		select {
		case r = <-answers:
			return true
		default:
		}
		b := h.story(thing).broken()
		return b != nil && (before == nil || b.ID != before.ID)
	})
	if r.AccessKeyID == "" {
		if r.Error != nil {
			return answer, fmt.Errorf("%w: %s", errNoAnswer, r.Error.Message)
		}
		return answer, errNoAnswer
	}

	// 4. It puts its object.
	store := s3.NewFromConfig(h.config(credentials.NewStaticCredentialsProvider(r.AccessKeyID, r.SecretAccessKey, r.SessionToken)),
		func(o *s3.Options) { o.UsePathStyle = true })
	_, err = store.PutObject(h.ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(thing + "/log"), Body: strings.NewReader(token)})
	if err != nil {
		return put, err
	}
	return "", nil
}

// seen is the step at which a chain breaks for those who use it: a device
// that gets no credentials cannot tell why.
func (s step) seen() step {
	switch s {
	case match, invoke, start:
		return answer
	}
	return s
}
