package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"strait/device"
	"strait/setup"
)

// dialFlags say how pub and sub connect: as a device, or signed.
type dialFlags struct {
	Cert     string `help:"The device's certificate, PEM." type:"path"`
	Key      string `help:"Its key, PEM." type:"path"`
	CA       string `name:"ca" help:"The server's authority, PEM; default AWS_CA_BUNDLE, else the system's." type:"path"`
	SigV4    bool   `name:"sigv4" help:"Connect over a WebSocket signed with AWS credentials instead."`
	Endpoint string `help:"host:port; default STRAIT_MQTT_ENDPOINT, with --sigv4 STRAIT_WSS_ENDPOINT or AWS_ENDPOINT_URL, else what iot:DescribeEndpoint says."`
	ClientID string `name:"client-id" help:"Name of the connection; policies often want the thing's. Default: a random one."`

	watch bool // tell on standard error when the connection is lost
}

const connectTime = 15 * time.Second

// connect opens the connection that the flags describe.
func (f *dialFlags) connect(ctx context.Context, keep bool) (*device.Client, error) {
	switch {
	case f.SigV4 && (f.Cert != "" || f.Key != ""):
		return nil, usageError{errors.New("--sigv4 and --cert exclude each other: connect signed or with a certificate")}
	case !f.SigV4 && (f.Cert == "" || f.Key == ""):
		return nil, usageError{errors.New("say how to connect: --cert FILE --key FILE, or --sigv4")}
	}
	cfg := device.Config{
		Endpoint: f.Endpoint, ClientID: f.ClientID, CertFile: f.Cert, KeyFile: f.Key, CAFile: f.CA, CleanSession: !keep,
	}
	if f.watch {
		// One who stays wants to know when the connection comes and goes.
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	if cfg.ClientID == "" {
		if keep {
			return nil, usageError{errors.New("a session that is kept needs a name: --client-id ID")}
		}
		var b [6]byte
		rand.Read(b[:])
		cfg.ClientID = "strait-" + hex.EncodeToString(b[:])
	}
	if cfg.CAFile == "" {
		cfg.CAFile = os.Getenv("AWS_CA_BUNDLE")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if !f.SigV4 {
		if err := f.find(ctx, &cfg, nil, "8883", "STRAIT_MQTT_ENDPOINT"); err != nil {
			return nil, err
		}
		return device.Connect(ctx, cfg)
	}
	s, err := setup.NewSession(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Region, cfg.Credentials = s.Config.Region, s.Config.Credentials
	if err := f.find(ctx, &cfg, s, "443", "STRAIT_WSS_ENDPOINT", "AWS_ENDPOINT_URL"); err != nil {
		return nil, err
	}
	return device.ConnectSigV4(ctx, cfg)
}

// find fills in the endpoint: from the flag, the environment, or IoT itself.
func (f *dialFlags) find(ctx context.Context, cfg *device.Config, s *setup.Session, port string, names ...string) (err error) {
	for _, n := range names {
		if cfg.Endpoint == "" {
			cfg.Endpoint = os.Getenv(n)
		}
	}
	if cfg.Endpoint != "" {
		return nil
	}
	if s == nil {
		if s, err = setup.NewSession(ctx); err != nil {
			return fmt.Errorf("no endpoint is given (--endpoint HOST:PORT), and asking for it failed: %w", err)
		}
	}
	out, err := s.IoT.DescribeEndpoint(ctx, &iot.DescribeEndpointInput{EndpointType: aws.String("iot:Data-ATS")})
	if err != nil {
		return fmt.Errorf("no endpoint is given (--endpoint HOST:PORT), and asking for it failed: %w", err)
	}
	cfg.Endpoint = net.JoinHostPort(aws.ToString(out.EndpointAddress), port)
	return nil
}
