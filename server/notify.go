package server

import (
	"context"
	"fmt"

	"strait"
	"strait/api"
	"strait/authz"
	"strait/object/lifecycle"
	"strait/object/notify"
	"strait/object/settings"
)

// This file tells functions of objects: the service s3.amazonaws.com, acting
// for the bucket, asks for the function through the row that everyone uses.

// layObjects makes the table of S3, with what a bucket's owner can set.
func (s *Server) layObjects() {
	targets := settings.Open[notify.Configuration](s.store, "notification")
	s.notify = notify.Open(notify.Config{Facts: s.store, Targets: targets, Teller: s, Failed: s.notTold, Now: s.cfg.Now, Log: s.cfg.Log})
	s.later(s.notify.Close)
	c := api.S3Config{
		Directory: s.directory, Store: s.objects, Region: s.cfg.Place.Region, Now: s.cfg.Now, Notify: s.notify, Notifications: targets, Target: s.canTell, Encrypted: s.cfg.EncryptedDisk,
		Lifecycle: settings.Open[lifecycle.Configuration](s.store, "lifecycle"), Tags: settings.Open[map[string]string](s.store, "tags"),
	}
	s.s3 = api.S3(c)
	s.sweeper = &lifecycle.Sweeper{Rules: c.Lifecycle, Objects: s.objects, Now: s.cfg.Now, Note: api.ExpiryNote(c), Log: s.cfg.Log}
}

// Tell is notify.Teller.
func (s *Server) Tell(ctx context.Context, d notify.Delivery) error {
	return s.askFunction(ctx, d.Bucket, d.Function, d.Trace, "Event", d.Message)
}

// canTell returns nil when the function could be told what happens in the
// bucket.
func (s *Server) canTell(ctx context.Context, bucket string, function strait.ARN, trace string) error {
	return s.askFunction(ctx, bucket, function, trace, "DryRun", nil)
}

func (s *Server) askFunction(ctx context.Context, bucket string, function strait.ARN, trace, kind string, payload []byte) error {
	c := s.directory.Service("s3.amazonaws.com", strait.S3(bucket), trace)
	_, err := s.corridor.Serve(ctx, &c, s.lambda.Find("Invoke"), func(in any) error {
		i := in.(*api.InvokeInput)
		i.FunctionName, i.Type, i.Payload = string(function), kind, payload
		return nil
	})
	return err
}

// notTold writes down that a function was not told.
func (s *Server) notTold(d notify.Delivery, err error) {
	s.authorizer.Recorder.Note(authz.Record{Trace: d.Trace, Operation: "Notification", Broken: true, Layer: "bucket notification", Document: "bucket:" + d.Bucket,
		Event: fmt.Sprintf("bucket %s could not tell %s: %s", d.Bucket, d.Function, err)})
}
