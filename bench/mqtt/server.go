package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"strait/bench/house"
)

// errMissing: a peer is not installed.
var errMissing = errors.New("not installed")

// A server is one of those that are compared.
type server struct {
	name   string
	about  string // what it is and how it is set
	addr   string
	pid    int
	house  *house.House // Strait's
	killed func() error
}

func (s *server) stop() error { return s.killed() }

// cpu is what the server's process has used so far.
func (s *server) cpu() time.Duration { return house.Running(s.pid) }

func start(ctx context.Context, name, dir string, w *world, o *options) (*server, error) {
	switch name {
	case "strait":
		return startStrait(ctx, dir, w, o)
	case "mosquitto":
		return startMosquitto(ctx, dir, w)
	case "mochi":
		return startMochi(ctx, w)
	}
	return nil, fmt.Errorf("there is no server of that name")
}

// What each client may do, in each server's words: connect under the name in
// its certificate, publish below b/NAME/, and hear all below b/.
const policy = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}"},
	{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/b/${iot:ClientId}/*"},
	{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/b/*"},
	{"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/b/*"}]}`

const acl = "pattern write b/%u/#\npattern read b/#\n"

func startStrait(ctx context.Context, dir string, w *world, o *options) (*server, error) {
	binary := o.binary
	if binary == "" {
		var err error
		if binary, err = house.Build(ctx, dir, "strait"); err != nil {
			return nil, err
		}
	}
	h, err := house.Start(ctx, binary, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	s := &server{
		name: "strait", addr: h.MQTT[0], pid: h.PID, house: h, killed: h.Stop,
		about: "policies on, decisions recorded; AWS's structural limits (100 messages in flight), no limits of rates (--limits aws is off); persistent sessions: fsync before PUBACK",
	}
	session, err := h.Session(ctx)
	if err != nil {
		return s, errors.Join(err, s.stop())
	}
	const name = "bench"
	if _, err := session.IoT.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String(name), PolicyDocument: aws.String(policy)}); err != nil {
		return s, errors.Join(err, s.stop())
	}
	err = parallel(len(w.clients), func(i int) error {
		c, err := session.IoT.RegisterCertificateWithoutCA(ctx, &iot.RegisterCertificateWithoutCAInput{CertificatePem: aws.String(w.pem(i)), Status: types.CertificateStatusActive})
		if err != nil {
			return err
		}
		_, err = session.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String(name), Target: c.CertificateArn})
		return err
	})
	if err != nil {
		err = errors.Join(err, s.stop())
	}
	return s, err
}

func startMosquitto(ctx context.Context, dir string, w *world) (*server, error) {
	binary := "/usr/sbin/mosquitto"
	if _, err := os.Stat(binary); err != nil {
		if binary, err = exec.LookPath("mosquitto"); err != nil {
			return nil, fmt.Errorf("mosquitto is %w", errMissing)
		}
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	data := filepath.Join(dir, "mosquitto")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(w.file("acl"), []byte(acl), 0o600); err != nil {
		return nil, err
	}
	conf := strings.Join([]string{
		"user root", "log_dest none", "per_listener_settings false", "set_tcp_nodelay true", "allow_anonymous false",
		"acl_file " + w.file("acl"),
		"max_queued_messages 0", "max_inflight_messages 100", // nothing is dropped; as many in flight as with Strait
		"persistence true", "persistence_location " + data + "/", "autosave_interval 1800",
		"listener " + port + " 127.0.0.1", "max_connections -1",
		"cafile " + w.file("ca.pem"), "certfile " + w.file("server.pem"), "keyfile " + w.file("server.key"),
		"require_certificate true", "use_identity_as_username true", "use_username_as_clientid true",
	}, "\n") + "\n"
	file := w.file("mosquitto.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	version := "mosquitto"
	if out, _ := exec.CommandContext(ctx, binary, "-h").Output(); len(out) > 0 {
		version, _, _ = strings.Cut(string(out), "\n")
	}
	s := &server{name: "mosquitto", addr: addr, about: version + ", mutual TLS, an ACL file, TCP_NODELAY; 100 messages in flight, queues without limit; persistent sessions: in memory, saved every 30 minutes, never synced before PUBACK"}
	return s, s.launch(ctx, exec.Command(binary, "-c", file))
}

func startMochi(ctx context.Context, w *world) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s := &server{name: "mochi", addr: addr, about: "mochi-mqtt 2.7.9, mutual TLS, an ACL hook; 100 messages in flight, else as it comes; persistent sessions: in memory only"}
	return s, s.launch(ctx, exec.Command(self, "mochi", addr, w.dir))
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// launch starts a peer's process and waits until it listens.
func (s *server) launch(ctx context.Context, cmd *exec.Cmd) error {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	s.pid = cmd.Process.Pid
	s.killed = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		_ = cmd.Wait() // its status says how it took the signal
		return nil
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		nc, err := net.Dial("tcp", s.addr)
		if err == nil {
			return nc.Close()
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("it does not listen: %w", err), s.stop())
		}
	}
}
