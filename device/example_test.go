package device_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/device"
	"strait/server"
	"strait/setup"
)

// place is a server of this example's own, with the upload pattern for
// device00; elsewhere it would be AWS, or a Strait that is running already.
func place() (cfg device.Config, web string, end func(), err error) {
	dir, err := os.MkdirTemp("", "strait-example-")
	if err != nil {
		return cfg, "", nil, err
	}
	s, err := server.Start(context.Background(), server.Config{
		Data: filepath.Join(dir, "data"), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		MQTT: []string{"127.0.0.1:0"}, HTTPS: []string{"127.0.0.1:0"}, HTTP: []string{"127.0.0.1:0"},
	})
	if err != nil {
		return cfg, "", nil, err
	}
	end = func() { s.Close(); os.RemoveAll(dir) }
	r := s.Ready()
	admin, err := setup.NewSession(context.Background(), config.WithBaseEndpoint("http://"+r.HTTP[0]), config.WithRegion(r.Region),
		config.WithSharedConfigProfile("default"), config.WithSharedConfigFiles([]string{r.Credentials}), config.WithSharedCredentialsFiles([]string{r.Credentials}))
	if err != nil {
		return cfg, "", end, err
	}
	if _, err = setup.Upload(context.Background(), admin, setup.UploadInput{Bucket: bucket, Things: []string{"device00"}, VendFile: "/bin/true"}); err != nil {
		return cfg, "", end, err
	}
	thing, err := setup.Thing(context.Background(), admin, "device00", filepath.Join(dir, "device00"))
	return device.Config{
		Endpoint: r.MQTT[0], Thing: "device00", CertFile: thing.Certificate, KeyFile: thing.Key, CAFile: r.CA,
		Region: r.Region, Credentials: admin.Config.Credentials,
	}, "http://" + r.HTTP[0], end, err
}

// A device sends a file, and goes on where it was if it is called again after
// its process died.
func Example() {
	cfg, _, end, err := place() // Endpoint, Thing, CertFile, KeyFile, CAFile
	if err != nil {
		log.Fatal(err)
	}
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := device.Connect(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	file := filepath.Join(filepath.Dir(cfg.CertFile), "measured.log") // this example's own, too
	if err := os.WriteFile(file, []byte("what was measured"), 0o600); err != nil {
		log.Fatal(err)
	}
	out, err := c.Upload(ctx, device.UploadInput{
		File: file, Key: "2026/11/22.log", ContentType: "text/plain", Journal: device.JournalFor(file),
		Say: func(e device.Event) { fmt.Println(e.Kind, e.Text) },
	})
	if err != nil {
		log.Fatal(err) // a *strait.Error: Denied names the permission that is missing
	}
	fmt.Println(out.Bucket, out.Key, out.Size)
	// Output: uploads device00/2026/11/22.log 17
}

// Any client of AWS's SDK may use what the device is given: it is asked for
// over MQTT, kept, and renewed in time.
func ExampleClient_Credentials() {
	cfg, web, end, err := place()
	if err != nil {
		log.Fatal(err)
	}
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := device.Connect(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	creds := c.Credentials(device.CredentialsOptions{Purpose: "logs", Duration: 15 * time.Minute})
	grant, err := creds.Grant(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(grant.Bucket, grant.Prefix, time.Until(grant.Expiration) <= 15*time.Minute)

	store := s3.New(s3.Options{Region: grant.Region, Credentials: creds, BaseEndpoint: aws.String(web), UsePathStyle: true})
	_, err = store.PutObject(ctx, &s3.PutObjectInput{Bucket: &grant.Bucket, Key: aws.String(grant.Prefix + "a"), Body: strings.NewReader("a")})
	fmt.Println("put:", err)
	_, err = store.PutObject(ctx, &s3.PutObjectInput{Bucket: &grant.Bucket, Key: aws.String("device01/a"), Body: strings.NewReader("a")})
	fmt.Println("put elsewhere:", strings.Contains(err.Error(), "AccessDenied"))
	// Output:
	// uploads device00/logs/ true
	// put: <nil>
	// put elsewhere: true
}

// Publish waits for the acknowledgement; Queue does not, and what it takes is
// sent when there is a connection.
func ExampleConnectSigV4() {
	cfg, web, end, err := place()
	if err != nil {
		log.Fatal(err)
	}
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// A WebSocket that is signed with credentials, anew on each connection.
	c, err := device.ConnectSigV4(ctx, device.Config{
		Endpoint: web, ClientID: "operator", Region: cfg.Region, Credentials: cfg.Credentials, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	got := make(chan device.Message)
	if err := c.Subscribe(ctx, "news/+", func(m device.Message) { got <- m }); err != nil {
		log.Fatal(err)
	}
	if err := c.Queue(device.Message{Topic: "news/today", Payload: []byte("hello"), QoS: 1}); err != nil {
		log.Fatal(err)
	}
	m := <-got
	fmt.Printf("%s on %s\n", m.Payload, m.Topic)
	// Output: hello on news/today
}
