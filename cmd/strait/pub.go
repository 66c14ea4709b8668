package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"strait/device"
)

// pubCommand publishes one message.
type pubCommand struct {
	dialFlags `embed:""`

	Topic   string        `required:"" help:"Topic to publish to."`
	Message *string       `short:"m" help:"The message; default: what comes on standard input."`
	QoS     int           `name:"qos" default:"1" help:"0 or 1; with 1 the server's acknowledgement is waited for."`
	Retain  bool          `help:"Keep the message for later subscribers."`
	Timeout time.Duration `default:"15s" help:"How long to wait for the acknowledgement."`
}

// maxMessage is what a message may hold (AWS IoT Core quota).
const maxMessage = 128 << 10

// Run is called by kong.
func (c *pubCommand) Run(ctx context.Context) error {
	if c.QoS != 0 && c.QoS != 1 {
		return usageError{fmt.Errorf("--qos %d is not offered: use 0 or 1", c.QoS)}
	}
	var payload []byte
	if c.Message != nil {
		payload = []byte(*c.Message)
	} else {
		var err error
		if payload, err = io.ReadAll(io.LimitReader(os.Stdin, maxMessage+1)); err != nil {
			return fmt.Errorf("read the message from standard input: %w", err)
		}
	}
	d, err := c.connect(ctx, false)
	if err != nil {
		return err
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return d.Publish(ctx, device.Message{Topic: c.Topic, Payload: payload, QoS: byte(c.QoS), Retain: c.Retain})
}
