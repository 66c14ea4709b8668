package server_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"strait"
	"strait/await"
	"strait/device"
	"strait/server"
	"strait/setup"
)

// A house is a server whose clock can be moved, and its operator.
type house struct {
	*server.Server
	admin *setup.Session
	moved atomic.Int64
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.moved.Load())) }

func newHouse(t *testing.T) *house {
	t.Helper()
	return newHouseIn(t, t.TempDir())
}

func newHouseIn(t *testing.T, data string) *house {
	t.Helper()
	h := &house{}
	s, err := server.Start(t.Context(), server.Config{
		Data: data, Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"}, Now: h.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h.Server = s
	r := s.Ready()
	t.Setenv("AWS_ENDPOINT_URL", "https://"+r.HTTPS[0])
	t.Setenv("AWS_CA_BUNDLE", r.CA)
	t.Setenv("AWS_REGION", r.Region)
	if h.admin, err = setup.NewSession(t.Context(), config.WithSharedCredentialsFiles([]string{r.Credentials})); err != nil {
		t.Fatal(err)
	}
	return h
}

// closedBecause waits until the server has recorded that it closed a
// connection of its own accord, and why.
func (h *house) closedBecause(t *testing.T, why string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
	defer cancel()
	for {
		wake := h.Recorder().Wait()
		for _, r := range h.Recorder().Records() {
			if r.Operation == "Disconnect" && strings.Contains(r.Event, why) {
				return
			}
		}
		select {
		case <-wake:
		case <-ctx.Done():
			t.Fatalf("no connection was closed because %q", why)
		}
	}
}

// narrow connects over WebSocket with a session of a new role.
func (h *house) narrow(t *testing.T, role string) *device.Client {
	t.Helper()
	topic, err := setup.Topic(t.Context(), h.admin, setup.TopicInput{Topic: "test", Role: role})
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.admin.STS.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(string(topic.RoleARN)), RoleSessionName: aws.String("narrow"), Policy: &topic.SessionPolicy})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	client, err := device.ConnectSigV4(t.Context(), device.Config{
		Endpoint: h.Ready().HTTPS[0], ClientID: role, Region: h.Ready().Region, CAFile: h.Ready().CA,
		Credentials: credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// TestConnectionsEndWithTheirPrincipal: a connection lives no longer than the
// credentials, the role or the certificate that it was admitted with.
func TestConnectionsEndWithTheirPrincipal(t *testing.T) {
	h := newHouse(t)

	t.Run("role deleted", func(t *testing.T) {
		h.narrow(t, "gone")
		role := aws.String("gone")
		_, err1 := h.admin.IAM.DetachRolePolicy(t.Context(), &iam.DetachRolePolicyInput{RoleName: role, PolicyArn: aws.String("arn:aws:iam::aws:policy/AWSIoTFullAccess")})
		_, err2 := h.admin.IAM.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: role})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		h.closedBecause(t, "role was deleted")
	})

	t.Run("certificate revoked", func(t *testing.T) {
		thing, err := setup.Thing(t.Context(), h.admin, "device00", t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		client, err := device.Connect(t.Context(), device.Config{Endpoint: h.Ready().MQTT[0], Thing: "device00", CertFile: thing.Certificate, KeyFile: thing.Key, CAFile: h.Ready().CA})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		certs, err := h.admin.IoT.ListCertificates(t.Context(), &iot.ListCertificatesInput{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.admin.IoT.UpdateCertificate(t.Context(), &iot.UpdateCertificateInput{CertificateId: certs.Certificates[0].CertificateId, NewStatus: "REVOKED"}); err != nil {
			t.Fatal(err)
		}
		h.closedBecause(t, "certificate is no longer ACTIVE")
	})

	t.Run("credentials expired", func(t *testing.T) {
		h.narrow(t, "short")
		h.moved.Store(int64(61 * time.Minute))
		h.closedBecause(t, "expired")
	})
}
