package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"strait/bench/house"
	"strait/setup"
)

// certificates is how many things have one; each takes the server a moment to
// make.
const certificates = 100

// fill makes n things and n objects through AWS's public APIs.
func fill(ctx context.Context, h *house.House, n int) error {
	s, err := h.Session(ctx)
	if err != nil {
		return err
	}
	if _, err := setup.Upload(ctx, s, setup.UploadInput{Bucket: "uploads"}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	body := bytes.Repeat([]byte("x"), 2<<10)
	for i := range n {
		g.Go(func() error {
			name := fmt.Sprintf("device%05d", i)
			if _, err := s.IoT.CreateThing(ctx, &iot.CreateThingInput{ThingName: &name}); err != nil {
				return err
			}
			if i < certificates {
				if err := certify(ctx, s, name); err != nil {
					return err
				}
			}
			_, err := s.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String(name + "/data"), Body: bytes.NewReader(body)})
			return err
		})
	}
	return g.Wait()
}

func certify(ctx context.Context, s *setup.Session, thing string) error {
	c, err := s.IoT.CreateKeysAndCertificate(ctx, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
	if err != nil {
		return err
	}
	if _, err := s.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String(setup.DefaultThingPolicy), Target: c.CertificateArn}); err != nil {
		return err
	}
	_, err = s.IoT.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: &thing, Principal: c.CertificateArn})
	return err
}
