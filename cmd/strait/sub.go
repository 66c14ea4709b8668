package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"strait/device"
)

// subCommand prints the messages of a topic filter.
type subCommand struct {
	dialFlags `embed:""`

	Topic      string        `required:"" help:"Topic filter; + stands for one level, # for the rest."`
	Count      int           `help:"End after so many messages; default: never."`
	Timeout    time.Duration `help:"End after this time; a failure if --count is not reached by then."`
	Persistent bool          `help:"Keep the session on the server while away; needs --client-id."`
	ShowTopic  bool          `short:"t" help:"Print the topic before each message."`
	JSON       bool          `name:"json" help:"Print one JSON object per message."`
}

// printed is a message as --json prints it.
type printed struct {
	Topic   string    `json:"topic"`
	Payload *string   `json:"payload,omitempty"`       // if it is UTF-8
	Bytes   []byte    `json:"payloadBase64,omitempty"` // otherwise
	QoS     byte      `json:"qos"`
	Retain  bool      `json:"retain"`
	Time    time.Time `json:"time"`
}

// Run is called by kong.
func (c *subCommand) Run(ctx context.Context) error {
	if c.Count < 0 || c.Timeout < 0 {
		return usageError{errors.New("--count and --timeout must not be negative")}
	}
	c.watch = true
	d, err := c.connect(ctx, c.Persistent)
	if err != nil {
		return err
	}
	defer d.Close()
	var late <-chan time.Time
	if c.Timeout > 0 {
		t := time.NewTimer(c.Timeout)
		defer t.Stop()
		late = t.C
	}
	// The handler waits until a message is printed, so that it is not
	// acknowledged before.
	type job struct {
		m    device.Message
		done chan struct{}
	}
	jobs := make(chan job)
	ended, end := context.WithCancel(ctx)
	defer end()
	asking, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	err = d.Subscribe(asking, c.Topic, func(m device.Message) {
		j := job{m, make(chan struct{})}
		select {
		case jobs <- j:
			<-j.done
		case <-ended.Done():
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "subscribed to", c.Topic)
	for n := 0; ; {
		select {
		case j := <-jobs:
			err := c.print(os.Stdout, j.m)
			close(j.done)
			if n++; err != nil || n == c.Count {
				return err
			}
		case <-late:
			if c.Count > 0 {
				return fmt.Errorf("only %d of %d messages came within %s; was one refused? see: strait explain --last", n, c.Count, c.Timeout)
			}
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *subCommand) print(w io.Writer, m device.Message) error {
	var line []byte
	switch {
	case c.JSON:
		p := printed{Topic: m.Topic, QoS: m.QoS, Retain: m.Retain, Time: time.Now().UTC()}
		if utf8.Valid(m.Payload) {
			s := string(m.Payload)
			p.Payload = &s
		} else {
			p.Bytes = m.Payload
		}
		var err error
		if line, err = json.Marshal(p); err != nil {
			return err
		}
	case c.ShowTopic:
		line = append([]byte(m.Topic+" "), m.Payload...)
	default:
		line = append(line, m.Payload...)
	}
	_, err := w.Write(append(line, '\n'))
	return err
}
