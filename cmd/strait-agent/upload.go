package main

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strait/device"
)

// uploadCommand sends files one after the other.
type uploadCommand struct {
	Files []string `arg:"" name:"file" help:"Files to send." type:"existingfile"`

	Endpoint string `required:"" env:"STRAIT_MQTT_ENDPOINT" help:"host:port for MQTT."`
	Thing    string `required:"" help:"The device's name."`
	ClientID string `name:"client-id" help:"Name of the connection; default: the thing's."`
	Cert     string `required:"" help:"The device's certificate, PEM." type:"path"`
	Key      string `required:"" help:"Its key, PEM." type:"path"`
	CA       string `name:"ca" env:"AWS_CA_BUNDLE" help:"The server's authority, PEM; default: the system's." type:"path"`

	KeyPrefix string `help:"Put before each file's name, below what the device may write to."`
	ObjectKey string `name:"object-key" help:"Name of the object instead of the file's; for one file."`
	Purpose   string `help:"Ask for credentials for one level below only."`

	ContentType     string            `help:"Content type; default: by the file's ending."`
	ContentEncoding string            `help:"Content encoding, such as gzip."`
	Metadata        map[string]string `help:"Metadata: name=value;name=value."`

	Bucket      string `help:"Where the function's answer does not say it."`
	Region      string `env:"AWS_REGION" help:"Where the function's answer does not say it."`
	S3Endpoint  string `name:"s3-endpoint" help:"URL of S3, instead of what the function's answer says."`
	PartSize    int64  `help:"Bytes of a part, at least 5242880; default 16 MiB."`
	Concurrency int    `help:"How many parts are under way at once; default 4."`
	JSON        bool   `name:"json" help:"Print JSON lines, on a terminal, too."`
	Verbose     bool   `short:"v" help:"Log the connection."`
}

const connectTime = 30 * time.Second

// Run is called by kong.
func (c *uploadCommand) Run(ctx context.Context) error {
	if c.ObjectKey != "" && len(c.Files) > 1 {
		return usageError{errors.New("--object-key names one object, but there are several files: use --key-prefix")}
	}
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelInfo
	}
	report := newReport(os.Stdout, c.JSON)
	connecting, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	d, err := device.Connect(connecting, device.Config{
		Endpoint: c.Endpoint, Thing: c.Thing, ClientID: c.ClientID, CertFile: c.Cert, KeyFile: c.Key, CAFile: c.CA,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	defer d.Close()
	for _, f := range c.Files {
		if err := c.send(ctx, d, report, f); err != nil {
			return err
		}
	}
	return nil
}

func (c *uploadCommand) send(ctx context.Context, d *device.Client, report *report, file string) error {
	key := c.ObjectKey
	if key == "" {
		key = c.KeyPrefix + filepath.Base(file)
	}
	contentType := c.ContentType
	if contentType == "" {
		contentType = mime.TypeByExtension(strings.ToLower(filepath.Ext(file)))
	}
	in := device.UploadInput{
		File: file, Key: key, ContentType: contentType, ContentEncoding: c.ContentEncoding, Metadata: c.Metadata, Purpose: c.Purpose,
		Bucket: c.Bucket, Region: c.Region, Endpoint: c.S3Endpoint, PartSize: c.PartSize, Concurrency: c.Concurrency,
	}
	in.Progress = report.begin(file)
	out, err := d.Upload(ctx, in)
	report.end(file, out, err)
	return err
}
