package soak_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"strait"
	"strait/server"
	"strait/setup"
)

// serveKey makes this binary the server: a process of its own has a memory of
// its own to look at.
const serveKey = "STRAIT_SOAK_SERVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveKey); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve is the other process; it ends when it is interrupted.
func serve(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := server.Start(ctx, server.Config{
		Data: dir, Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"}, Metrics: "127.0.0.1:0",
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(s.Ready()); err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}

// A target is the server under test, and how its one device connects.
type target struct {
	t     *testing.T
	ready server.Ready
	tls   *tls.Config
}

const policy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:ap-northeast-1:123456789012:client/soak-*"},
 {"Effect":"Allow","Action":["iot:Publish","iot:RetainPublish","iot:Receive"],"Resource":"arn:aws:iot:ap-northeast-1:123456789012:topic/soak/*"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:ap-northeast-1:123456789012:topicfilter/soak/*"}]}`

func start(t *testing.T) *target {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveKey+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	x := &target{t: t}
	if err := json.Unmarshal(line, &x.ready); err != nil {
		t.Fatal(err)
	}
	x.enroll()
	return x
}

// enroll makes the device.
func (x *target) enroll() {
	t := x.t
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_ENDPOINT_URL", "https://"+x.ready.HTTPS[0])
	t.Setenv("AWS_CA_BUNDLE", x.ready.CA)
	t.Setenv("AWS_REGION", x.ready.Region)
	admin, err := setup.NewSession(t.Context(), config.WithSharedCredentialsFiles([]string{x.ready.Credentials}))
	must(err)
	thing, err := setup.Thing(t.Context(), admin, "soak", t.TempDir())
	must(err)
	name, doc := "soak", policy
	_, err = admin.IoT.CreatePolicy(t.Context(), &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &doc})
	must(err)
	certs, err := admin.IoT.ListCertificates(t.Context(), &iot.ListCertificatesInput{})
	must(err)
	_, err = admin.IoT.AttachPolicy(t.Context(), &iot.AttachPolicyInput{PolicyName: &name, Target: certs.Certificates[0].CertificateArn})
	must(err)
	pair, err := tls.LoadX509KeyPair(thing.Certificate, thing.Key)
	must(err)
	ca, err := os.ReadFile(x.ready.CA)
	must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	x.tls = &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, ServerName: "localhost"}
}

var sample = regexp.MustCompile(`(?m)^(\S+) (\S+)$`)

// scrape reads the server's metrics.
func (x *target) scrape() (map[string]float64, error) {
	resp, err := http.Get("http://" + x.ready.Metrics[0] + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, m := range sample.FindAllStringSubmatch(string(b), -1) {
		if v, err := strconv.ParseFloat(m[2], 64); err == nil && !strings.HasPrefix(m[1], "#") {
			out[m[1]] = v
		}
	}
	return out, nil
}
