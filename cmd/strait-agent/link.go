package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"strait/device"
)

// linkFlags say who the device is and where its credentials come from. They are
// also fields of run's configuration.
type linkFlags struct {
	From     string `default:"mqtt" enum:"mqtt,x509,environment" help:"Where credentials come from: asked for over MQTT, AWS IoT's credentials provider, or AWS_ACCESS_KEY_ID and so on."`
	Endpoint string `env:"STRAIT_MQTT_ENDPOINT" help:"host:port for MQTT."`
	Thing    string `help:"The device's name."`
	ClientID string `name:"client-id" help:"Name of the connection; default: the thing's."`
	Cert     string `help:"The device's certificate, PEM." type:"path"`
	Key      string `help:"Its key, PEM." type:"path"`
	CA       string `name:"ca" env:"AWS_CA_BUNDLE" help:"The server's authority, PEM; default: the system's." type:"path"`

	CredentialsEndpoint string `help:"host of the credentials provider, for --from x509."`
	RoleAlias           string `help:"Role alias, for --from x509."`

	Bandwidth int64 `help:"Bytes a second that uploads may take; 0: all."`
	Stall     span  `help:"How long a connection may take no bytes before it counts as dead; default 1m."`
	Verbose   bool  `short:"v" help:"Log the connection."`
}

// A span is a duration such as 5s, in flags and in JSON.
type span time.Duration

// UnmarshalText is encoding.TextUnmarshaler.
func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = span(d)
	return err
}

// idle is how long the connection is kept when there is nothing to ask.
const idle = time.Second

// A link is what files are sent with.
type link struct {
	*device.Uploader
	granted func(context.Context) (aws.Credentials, error)
	close   func()
}

// open connects. With wait false it fails when the first attempt does;
// otherwise it connects in the background.
func (f *linkFlags) open(ctx context.Context, purpose string, wait bool) (*link, error) {
	level := slog.LevelWarn
	if f.Verbose {
		level = slog.LevelInfo
	}
	cfg := device.Config{
		Endpoint: f.Endpoint, Thing: f.Thing, ClientID: f.ClientID, CertFile: f.Cert, KeyFile: f.Key, CAFile: f.CA, Offline: wait,
		Region: os.Getenv("AWS_REGION"), Bandwidth: f.Bandwidth, Stall: time.Duration(f.Stall),
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	switch f.From {
	case "environment":
		p := aws.CredentialsProviderFunc(environment)
		up, err := device.NewUploader(cfg, p)
		return &link{up, p, func() {}}, err
	case "x509":
		cfg.Endpoint = f.CredentialsEndpoint
		p, err := device.NewX509(cfg, f.RoleAlias)
		if err != nil {
			return nil, err
		}
		up, err := device.NewUploader(cfg, p)
		return &link{up, p.Retrieve, func() {}}, err
	}
	for _, x := range []struct{ name, value string }{{"--endpoint", f.Endpoint}, {"--thing", f.Thing}, {"--cert", f.Cert}, {"--key", f.Key}} {
		if x.value == "" {
			return nil, usageError{errors.New("missing flag: " + x.name)}
		}
	}
	const connectTime = 30 * time.Second
	connecting, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	// Credentials are asked for now and then only, and several agents of one
	// device share its name.
	cfg.Idle, cfg.TakeTurns = idle, true
	d, err := device.Connect(connecting, cfg)
	if err != nil {
		return nil, err
	}
	return &link{d.Uploader(), d.Credentials(device.CredentialsOptions{Purpose: purpose}).Retrieve, func() { d.Close() }}, nil
}

// environment reads credentials as every AWS tool does.
func environment(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"), Source: "environment"}
	if !c.HasKeys() {
		return c, usageError{errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")}
	}
	return c, nil
}
