package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"strait/door/mqtt/packet"
)

// patience is how long the generator waits for anything that must come.
const patience = 20 * time.Second

// A client is one connection of the generator. It costs little: packets are
// encoded before the measurement, read in large pieces and counted, and
// acknowledged many at once.
type client struct {
	id      string
	nc      *tls.Conn
	buf     []byte
	have    int // bytes of buf that hold what is not handled yet
	acks    []byte
	present bool // CONNACK said that the session goes on
}

var dialer net.Dialer

// dial connects client i of the world.
func (w *world) dial(ctx context.Context, s *server, i int, clean bool, buffer int) (*client, error) {
	raw, err := dialer.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	c := &client{id: id(i), buf: make([]byte, buffer)}
	// Who the server is has nothing to do with what is measured.
	c.nc = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{w.clients[i]}, ServerName: "localhost"})
	if err := c.connect(clean); err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s connects: %w", c.id, err)
	}
	return c, nil
}

func (c *client) connect(clean bool) error {
	if err := c.nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	hello, err := (&packet.Connect{Version: packet.V311, ClientID: c.id, Clean: clean, KeepAlive: 600}).Append(nil)
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(hello); err != nil {
		return err
	}
	var ack [4]byte
	if _, err := io.ReadFull(c.nc, ack[:]); err != nil {
		return fmt.Errorf("no CONNACK: %w", err)
	}
	if ack[0] != byte(packet.TypeConnack)<<4 || ack[3] != 0 {
		return fmt.Errorf("CONNACK %x", ack)
	}
	c.present = ack[2] == 1
	return c.nc.SetDeadline(time.Time{})
}

func (c *client) subscribe(qos byte, filter string) error {
	b, err := (&packet.Subscribe{PacketID: 1, Subscriptions: []packet.Subscription{{Filter: filter, QoS: qos}}}).Append(nil)
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(b); err != nil {
		return err
	}
	got := false
	return c.until(patience, func() bool { return got }, func(first byte, body []byte) {
		got = got || packet.Type(first>>4) == packet.TypeSuback && len(body) == 3 && body[2] == qos
	})
}

// until reads until done says so.
func (c *client) until(wait time.Duration, done func() bool, on func(first byte, body []byte)) error {
	if err := c.nc.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	for !done() {
		if err := c.read(on); err != nil {
			return err
		}
	}
	return c.nc.SetReadDeadline(time.Time{})
}

// read reads once, calls on for each whole packet, and acknowledges those of
// QoS 1 together.
func (c *client) read(on func(first byte, body []byte)) error {
	n, err := c.nc.Read(c.buf[c.have:])
	if err != nil {
		return err
	}
	b := c.buf[:c.have+n]
	for len(b) >= 2 {
		head, size := 2, int(b[1]&0x7f)
		if b[1]&0x80 != 0 {
			if len(b) < 3 {
				break
			}
			if b[2]&0x80 != 0 {
				return errors.New("a packet is larger than the generator makes them")
			}
			head, size = 3, size|int(b[2])<<7
		}
		if len(b) < head+size {
			break
		}
		body := b[head : head+size]
		if b[0]>>4 == byte(packet.TypePublish) && b[0]&0x06 != 0 {
			at := 2 + int(binary.BigEndian.Uint16(body))
			c.acks = append(c.acks, byte(packet.TypePuback)<<4, 2, body[at], body[at+1])
		}
		on(b[0], body)
		b = b[head+size:]
	}
	c.have = copy(c.buf, b)
	if len(c.acks) > 0 {
		_, err = c.nc.Write(c.acks)
		c.acks = c.acks[:0]
	}
	return err
}

// payload returns what a PUBLISH carries.
func payload(first byte, body []byte) []byte {
	at := 2 + int(binary.BigEndian.Uint16(body))
	if first&0x06 != 0 {
		at += 2
	}
	return body[at:]
}

// close says goodbye.
func (c *client) close() {
	_ = c.nc.SetDeadline(time.Now().Add(time.Second))
	_, _ = c.nc.Write([]byte{byte(packet.TypeDisconnect) << 4, 0})
	_ = c.nc.NetConn().Close()
}
