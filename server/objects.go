package server

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"strait/object"
	"strait/object/dir"
	"strait/object/s3"
)

// openStore opens the home of objects that the configuration names.
func (s *Server) openStore() (object.Store, error) {
	far, err := s.cfg.farObjects()
	if err != nil {
		return nil, err
	}
	if far != nil {
		far.Spool, far.Now, far.Log = filepath.Join(s.cfg.Data, "spool"), s.cfg.Now, s.cfg.Log
		return s3.Open(s.store, *far)
	}
	return dir.Open(filepath.Join(s.cfg.Data, "objects"), s.store, dir.Options{Now: s.cfg.Now, Log: s.cfg.Log})
}

// farObjects reads Objects; nil when objects are kept in the data directory.
func (c *Config) farObjects() (*s3.Options, error) {
	if c.Objects == "" {
		return nil, nil
	}
	const form = "--objects s3://BUCKET?endpoint=https://host:port&region=REGION"
	u, err := url.Parse(c.Objects)
	if err != nil || u.Scheme != "s3" || u.User != nil || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, fmt.Errorf("objects can be kept in the data directory or in a store that speaks S3: %s", form)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the place of objects cannot be read: %w: %s", err, form)
	}
	o := &s3.Options{Bucket: u.Host, Credentials: c.ObjectKeys}
	for name, values := range q {
		if len(values) != 1 {
			return nil, fmt.Errorf("the place of objects says %q twice", name)
		}
		switch v := values[0]; name {
		case "endpoint":
			o.Endpoint = v
		case "region":
			o.Region = v
		case "style":
			if v != "path" && v != "virtual" {
				return nil, errors.New("the style of the store behind can be path or virtual")
			}
			o.VirtualHost = v == "virtual"
		default:
			return nil, fmt.Errorf("the place of objects says %q, which is none of endpoint, region and style", name)
		}
	}
	if o.Credentials == nil {
		id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		if id == "" || secret == "" {
			return nil, errors.New("the store behind needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) for strait serve")
		}
		o.Credentials = aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(id, secret, os.Getenv("AWS_SESSION_TOKEN")))
	}
	return o, nil
}
