package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"strait/device"
	"strait/setup"
)

// topicActs plays the second pattern.
func (d *demo) topicActs(ctx context.Context) error {
	d.tell.title("Topic-scoped connection: one topic, although the role may do everything")
	var client *device.Client
	defer func() {
		if client != nil {
			client.Close()
		}
	}()
	if err := d.tell.step("set the pattern up: role sts-sample-role with AWSIoTFullAccess", func() (string, error) {
		r, err := setup.Topic(ctx, d.admin, setup.TopicInput{Topic: demoTopic})
		if err != nil {
			return "", err
		}
		d.topicRole, d.topicPolicy = r.RoleARN, r.SessionPolicy
		return string(r.RoleARN), nil
	}); err != nil {
		return err
	}
	if err := d.tell.step("AssumeRole with a session policy for the topic "+demoTopic, func() (string, error) {
		out, err := d.admin.STS.AssumeRole(ctx, &sts.AssumeRoleInput{
			RoleArn: aws.String(string(d.topicRole)), RoleSessionName: aws.String("narrow"), Policy: aws.String(d.topicPolicy),
		})
		if err != nil {
			return "", err
		}
		c := out.Credentials
		d.topicCreds = aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
		return fmt.Sprintf("%s, session policy packed to %d %%", *c.AccessKeyId, aws.ToInt32(out.PackedPolicySize)), nil
	}); err != nil {
		return err
	}
	if err := d.tell.step("connect by MQTT over WebSocket, signed; subscribe; publish; receive", func() (_ string, err error) {
		client, err = d.webSocket(ctx, "console")
		if err != nil {
			return "", err
		}
		return d.echo(ctx, client)
	}); err != nil {
		return err
	}
	return d.tell.mustRefuse("the same credentials subscribe to another topic: the connection is closed", func() (string, error) {
		c, err := d.webSocket(ctx, "console2")
		if err != nil {
			return "", err
		}
		defer c.Close()
		if err := c.Subscribe(ctx, "other", func(device.Message) {}); err == nil {
			return "", errNotRefused
		}
		return d.lastRefusal(ctx, "iot:Subscribe", "session policy")
	})
}

func (d *demo) webSocket(ctx context.Context, id string) (*device.Client, error) {
	c := d.topicCreds
	return device.ConnectSigV4(ctx, device.Config{
		Endpoint: d.url()[len("https://"):], ClientID: id, Region: d.server.Ready().Region, CAFile: d.server.Ready().CA, KeepAlive: 6 * time.Second,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken), Now: d.now,
	})
}

// echo subscribes, publishes and waits for what it published.
func (d *demo) echo(ctx context.Context, c *device.Client) (string, error) {
	got := make(chan string, 1)
	err := c.Subscribe(ctx, demoTopic, func(m device.Message) {
		select {
		case got <- string(m.Payload):
		default:
		}
	})
	if err != nil {
		return "", err
	}
	if err := c.Publish(ctx, device.Message{Topic: demoTopic, Payload: []byte("hello"), QoS: 1}); err != nil {
		return "", err
	}
	select {
	case s := <-got:
		return fmt.Sprintf("received %q on %s", s, demoTopic), nil
	case <-time.After(10 * time.Second):
		return "", errors.New("nothing was received")
	}
}

// otherTopic lets the device publish where its policy does not let it: AWS
// closes the connection of an MQTT 3.1.1 client, without a word.
func (d *demo) otherTopic(ctx context.Context) (string, error) {
	if err := d.up.device.Publish(ctx, device.Message{Topic: "device01/token/req", Payload: []byte("{}"), QoS: 1}); err == nil {
		return "", errNotRefused
	}
	return d.lastRefusal(ctx, "iot:Publish", "iot policy")
}
