package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// credentialsCommand speaks credential_process, so that every AWS tool can use
// what the device is given.
type credentialsCommand struct {
	linkFlags
	Purpose string `help:"Ask for credentials for one level below only."`
	Cache   string `help:"Keep the credentials in this file (0600) until shortly before their end. Without it each call connects, and ends another connection of the same name." type:"path"`
}

// processed is what a credential_process prints.
type processed struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      *time.Time `json:",omitempty"`
}

// cacheEnds is how long before their end cached credentials are replaced.
const cacheEnds = 5 * time.Minute

// Run is called by kong.
func (c *credentialsCommand) Run(ctx context.Context) error {
	if p, ok := cached(c.Cache); ok {
		return json.NewEncoder(os.Stdout).Encode(p)
	}
	l, err := c.open(ctx, c.Purpose, false)
	if err != nil {
		return err
	}
	defer l.close()
	v, err := l.granted(ctx)
	if err != nil {
		return err
	}
	if c.Cache != "" {
		if err := keep(c.Cache, v); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(process(v))
}

func process(v aws.Credentials) processed {
	p := processed{Version: 1, AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken}
	if v.CanExpire {
		p.Expiration = &v.Expires
	}
	return p
}

func cached(file string) (p processed, ok bool) {
	if file == "" {
		return p, false
	}
	b, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(b, &p) != nil || p.Version != 1 || p.AccessKeyID == "" || p.Expiration == nil {
		return p, false
	}
	return p, time.Until(*p.Expiration) > cacheEnds
}

// keep writes credentials for others to read, at once and for the owner only.
func keep(file string, v aws.Credentials) error {
	b, err := json.Marshal(process(v))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".credentials-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
