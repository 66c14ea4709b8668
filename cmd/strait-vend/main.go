// Command strait-vend is the vending function of the upload pattern as an AWS
// Lambda binary: build it as "bootstrap" for provided.al2023. The decision is
// in package vend; here are STS and IoT Data as AWS's public APIs offer them,
// so it runs on AWS and on Strait alike.
//
// Variables: those of vend.ConfigFromEnv; AWS's own (region, credentials,
// AWS_ENDPOINT_URL and its variants, AWS_CA_BUNDLE). STRAIT_VEND_IOT_ENDPOINT names
// the IoT Data endpoint where the region's common one must not be used.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"strait/vend"
)

func main() {
	v, err := newVendor(context.Background(), os.Getenv)
	if err != nil {
		// A failing start is told to every caller, with this sentence.
		lambda.Start(func(context.Context) error { return err })
		return
	}
	lambda.Start(func(ctx context.Context, event json.RawMessage) (json.RawMessage, error) { return v.Vend(ctx, event) })
}

func newVendor(ctx context.Context, env func(string) string) (*vend.Vendor, error) {
	cfg, err := vend.ConfigFromEnv(env)
	if err != nil {
		return nil, err
	}
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("read AWS's configuration: %w", err)
	}
	return &vend.Vendor{Config: cfg, Assumer: &assumer{sts.NewFromConfig(aws)}, Publisher: newPublisher(aws, env)}, nil
}
