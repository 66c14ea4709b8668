// Package server puts the house together: it opens the engines over one data
// directory, lays the corridor and its tables, and opens the doors. It holds
// what belongs to no single room: which listener asks for certificates, who
// acts when one engine needs another, and in which order all is closed.
//
// Begin with Config and Start.
package server

import (
	"errors"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"strait"
)

// A Config says what to serve. Addresses are as for net.Listen; an empty list
// switches a kind of listener off.
type Config struct {
	Data  string // directory; made when missing
	Place strait.Place
	Hosts []string // names and addresses that server certificates are made for; "*." allowed

	MQTT  []string // mutual TLS
	HTTPS []string
	// HTTPSCert is HTTPS that asks every client for a certificate: publishing
	// with one, on 8443 with AWS.
	HTTPSCert []string
	HTTP      []string // not encrypted; meant for loopback

	// Metrics is the address of Prometheus metrics, on loopback when it names no
	// host; "" for none.
	Metrics string

	// Objects says where objects are kept: "" in Data, else in another store
	// that speaks S3, s3://BUCKET?endpoint=URL&region=REGION&style=virtual, all
	// but s3: optional. Without a bucket all those of the other store are there.
	Objects string
	// ObjectKeys are the credentials for that store; nil takes them from AWS's
	// variables in the environment.
	ObjectKeys aws.CredentialsProvider

	ReadyFile      string // written when every listener answers; "" for none
	TrustFunctions bool   // run functions' processes even where they cannot be confined

	// Limits is "aws" for AWS's quotas of rates beside its structural limits,
	// which always hold: 100 messages and 512 KB a second on a connection, one
	// CONNECT a second for a client id, 10 queued messages a second. "" is none.
	Limits string
	// HideReasons keeps reason strings from clients of MQTT 5; AWS is not known
	// to send any.
	HideReasons bool

	// EncryptedDisk: the operator says that Data lies on an encrypted disk, so
	// that S3 may answer that objects are encrypted at rest.
	EncryptedDisk bool

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

var (
	accountRE = regexp.MustCompile(`^\d{12}$`)
	regionRE  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
)

func (c *Config) check() error {
	switch {
	case c.Data == "":
		return errors.New("a data directory is needed: --data DIR")
	case !accountRE.MatchString(c.Place.Account):
		return errors.New("the account must have 12 digits: --account 123456789012")
	case !regionRE.MatchString(c.Place.Region):
		return errors.New("the region must be like ap-northeast-1: --region REGION")
	case c.Limits != "" && c.Limits != "aws":
		return errors.New("the limits can be aws, or be left out: --limits aws")
	case len(c.Hosts) == 0:
		return errors.New("a host name is needed: --host localhost")
	}
	if _, err := c.farObjects(); err != nil {
		return err
	}
	for _, h := range c.Hosts {
		if name := strings.TrimPrefix(h, "*."); name == "" || strings.ContainsAny(name, "*/: ") && net.ParseIP(h) == nil {
			return errors.New("the host name " + h + " cannot be used: give names like localhost or *.example.org, without a port")
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// certificateNames are all names that the server's certificate is good for:
// those given, one level below each for buckets, and this machine itself.
func (c *Config) certificateNames() []string {
	var out []string
	seen := map[string]bool{}
	add := func(n string) {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	for _, h := range c.Hosts {
		add(h)
		if net.ParseIP(h) == nil && !strings.HasPrefix(h, "*.") {
			add("*." + h)
		}
	}
	add("localhost")
	add("credentials.localhost") // OpenSSL does not take *.localhost
	add("127.0.0.1")
	add("::1")
	return out
}

// names are the host names before which a bucket's name may stand.
func (c *Config) names() []string {
	var out []string
	for _, h := range append(c.Hosts, "localhost") {
		if net.ParseIP(h) == nil {
			out = append(out, strings.ToLower(strings.TrimPrefix(h, "*.")))
		}
	}
	return out
}

// endpoint is the host that devices are told to connect to: the AWS-like name
// among the hosts if there is one, else the first.
func (c *Config) endpoint(kind string) string {
	want := "-ats.iot."
	if kind == "iot:CredentialProvider" {
		want = ".credentials.iot."
	}
	for _, h := range c.Hosts {
		if strings.Contains(h, want) && !strings.HasPrefix(h, "*") {
			return h
		}
	}
	for _, h := range c.Hosts {
		if !strings.HasPrefix(h, "*") {
			return h
		}
	}
	return "localhost"
}
