package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"strait"
	"strait/server"
)

// serveCommand runs a server until it is interrupted.
type serveCommand struct {
	Data           string   `required:"" help:"Directory of everything that is kept; made when missing." type:"path"`
	Region         string   `default:"ap-northeast-1" help:"Region of the ARNs and signatures."`
	Account        string   `default:"123456789012" help:"Account of the ARNs."`
	Host           []string `default:"localhost" help:"Names that the server's certificate is made for; wildcards allowed."`
	MQTT           []string `name:"mqtt" default:":8883" help:"Address for MQTT with certificates; repeatable, empty for none."`
	HTTPS          []string `name:"https" default:":8443" help:"Address for HTTPS and MQTT over WebSocket; repeatable, empty for none."`
	HTTPSCert      []string `name:"https-cert" help:"Address for HTTPS with a device's certificate (publishing); off by default."`
	HTTP           []string `name:"http" default:"127.0.0.1:4566" help:"Address for plain HTTP; keep it on loopback."`
	Metrics        string   `help:"Address of Prometheus metrics (/metrics), on loopback when it names no host, such as :9464; off by default."`
	Objects        string   `help:"Keep objects in another store that speaks S3: s3://BUCKET?endpoint=URL&region=REGION (no BUCKET: all of its buckets); its keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."`
	ReadyFile      string   `help:"Write one JSON object to this file when everything listens." type:"path"`
	Limits         string   `help:"\"aws\" for AWS's quotas of rates, too; its structural limits always hold." enum:",aws" default:""`
	HideReasons    bool     `help:"Send no reason strings to MQTT 5 clients."`
	EncryptedDisk  bool     `help:"Say that --data lies on an encrypted disk: S3 then takes x-amz-server-side-encryption: AES256, and answers so."`
	TrustFunctions bool     `help:"Run functions' processes even where they cannot be confined."`
	Verbose        bool     `short:"v" help:"Log more."`
}

// Run is called by kong.
func (c *serveCommand) Run(ctx context.Context) error {
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	s, err := server.Start(ctx, server.Config{
		Data: c.Data, Place: strait.Place{Region: c.Region, Account: c.Account}, Hosts: c.Host,
		EncryptedDisk: c.EncryptedDisk,
		MQTT:          c.MQTT, HTTPS: c.HTTPS, HTTPSCert: c.HTTPSCert, HTTP: c.HTTP, Metrics: c.Metrics, Objects: c.Objects, ReadyFile: c.ReadyFile, TrustFunctions: c.TrustFunctions, Limits: c.Limits, HideReasons: c.HideReasons, Log: log,
	})
	if err != nil {
		return err
	}
	r := s.Ready()
	fmt.Printf("strait serves account %s in %s\n", r.Account, r.Region)
	for _, l := range []struct {
		what  string
		addrs []string
	}{{"mqtt ", r.MQTT}, {"https", r.HTTPS}, {"https with certificates", r.HTTPSCert}, {"http ", r.HTTP}, {"metrics", r.Metrics}} {
		if len(l.addrs) > 0 {
			fmt.Printf("  %s  %s\n", l.what, strings.Join(l.addrs, " "))
		}
	}
	fmt.Printf("  ca     %s\n  admin  %s\n", r.CA, r.Credentials)
	fmt.Printf("point tools here:  eval \"$(strait env --data %s)\"\n", r.Data)
	room := server.SpareRoom()
	<-ctx.Done()
	runtime.KeepAlive(room)
	return s.Close()
}
