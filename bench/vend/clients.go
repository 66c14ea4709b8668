package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	paho "github.com/eclipse/paho.mqtt.golang"

	"strait/bench/house"
	"strait/setup"
)

// patience is how long a client waits for anything.
const patience = 20 * time.Second

func connect(h *house.House, clientID string, cert tls.Certificate) (paho.Client, error) {
	pem, err := os.ReadFile(h.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	o := paho.NewClientOptions().AddBroker("tls://" + h.MQTT[0]).SetClientID(clientID).SetCleanSession(true).SetAutoReconnect(false)
	o.SetTLSConfig(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, ServerName: "localhost"})
	c := paho.NewClient(o)
	return c, done(c.Connect())
}

func done(t paho.Token) error {
	if !t.WaitTimeout(patience) {
		return errors.New("the server did not answer in time")
	}
	return t.Error()
}

// reply waits for one answer on ch.
func reply(ctx context.Context, ch <-chan []byte) ([]byte, error) {
	select {
	case b := <-ch:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(patience):
		return nil, errors.New("no answer came in time")
	}
}

// A device is the thing of the upload pattern.
type device struct {
	client  paho.Client
	answers chan []byte
	n       int
}

func newDevice(h *house.House, cert tls.Certificate) (*device, error) {
	d := &device{answers: make(chan []byte, 1)}
	var err error
	if d.client, err = connect(h, thing, cert); err != nil {
		return nil, fmt.Errorf("connect %s: %w", thing, err)
	}
	return d, done(d.client.Subscribe(thing+"/token/res", 1, func(_ paho.Client, m paho.Message) { d.answers <- m.Payload() }))
}

// ask gets credentials, and returns when they were in its hand and how many
// bytes they came in. They belong to this request: its token comes back. The
// acknowledgement of the request is waited for, but not measured.
func (d *device) ask(ctx context.Context) (took time.Duration, size int, err error) {
	d.n++
	token := "request-" + strconv.Itoa(d.n)
	begin := time.Now()
	published := d.client.Publish(thing+"/token/req", 1, false, `{"clientToken":"`+token+`"}`)
	b, err := reply(ctx, d.answers)
	if err != nil {
		return 0, 0, err
	}
	var got struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		ClientToken     string          `json:"clientToken"`
		Error           json.RawMessage `json:"error"`
	}
	err = json.Unmarshal(b, &got)
	took = time.Since(begin)
	switch {
	case err != nil:
		return 0, 0, err
	case got.ClientToken != token:
		return 0, 0, fmt.Errorf("asked with %s, got an answer to %s", token, got.ClientToken)
	case got.AccessKeyID == "" || got.SecretAccessKey == "" || got.SessionToken == "":
		return 0, 0, fmt.Errorf("no credentials came: %s", got.Error)
	}
	return took, len(b), done(published)
}

func (d *device) close() { d.client.Disconnect(0) }

// An echo is two clients: one asks, the other answers with so many bytes.
type echo struct {
	asking, answering paho.Client
	answers           chan []byte
}

func newEcho(ctx context.Context, s *setup.Session, h *house.House, size int) (*echo, error) {
	cert, err := certify(ctx, s, "bench-echo", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`)
	if err != nil {
		return nil, err
	}
	e := &echo{answers: make(chan []byte, 1)}
	if e.asking, err = connect(h, "asking", cert); err != nil {
		return nil, err
	}
	if e.answering, err = connect(h, "answering", cert); err != nil {
		return nil, err
	}
	answer := bytes.Repeat([]byte("x"), size)
	err = done(e.answering.Subscribe("echo/req", 1, func(c paho.Client, _ paho.Message) { c.Publish("echo/res", 1, false, answer) }))
	if err != nil {
		return nil, err
	}
	return e, done(e.asking.Subscribe("echo/res", 1, func(_ paho.Client, m paho.Message) { e.answers <- m.Payload() }))
}

// ask is to an echo what it is to a device.
func (e *echo) ask(ctx context.Context) (took time.Duration, size int, err error) {
	begin := time.Now()
	published := e.asking.Publish("echo/req", 1, false, `{"clientToken":"request-1"}`)
	b, err := reply(ctx, e.answers)
	if err != nil {
		return 0, 0, err
	}
	took = time.Since(begin)
	return took, len(b), done(published)
}

func (e *echo) close() {
	e.asking.Disconnect(0)
	e.answering.Disconnect(0)
}

// certify makes a certificate with a policy of its own.
func certify(ctx context.Context, s *setup.Session, policy, document string) (tls.Certificate, error) {
	if _, err := s.IoT.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: &policy, PolicyDocument: &document}); err != nil {
		return tls.Certificate{}, err
	}
	c, err := s.IoT.CreateKeysAndCertificate(ctx, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
	if err != nil {
		return tls.Certificate{}, err
	}
	if _, err := s.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: &policy, Target: c.CertificateArn}); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair([]byte(aws.ToString(c.CertificatePem)), []byte(aws.ToString(c.KeyPair.PrivateKey)))
}
