package power_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"

	"strait/await"
)

// A device is an MQTT client over WebSocket with SigV4, on a plain connection,
// so that the trace of the server can be read. It uses each packet id once.
type device struct {
	ws   *websocket.Conn
	addr string

	mu      sync.Mutex
	next    uint16
	err     error
	waiting map[uint16]chan struct{} // for PUBACK or SUBACK

	received chan *packets.PublishPacket
}

const deviceWait = await.Patience

func (c *client) connect(ctx context.Context, id string, clean bool) (*device, error) {
	ctx, cancel := context.WithTimeout(ctx, deviceWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/mqtt", nil)
	if err != nil {
		return nil, err
	}
	empty := sha256.Sum256(nil)
	url, _, err := v4.NewSigner().PresignHTTP(ctx, c.creds, r, hex.EncodeToString(empty[:]), "iotdevicegateway", region, time.Now())
	if err != nil {
		return nil, err
	}
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	ws, answer, err := dialer.DialContext(ctx, "ws"+url[len("http"):], nil)
	if err != nil {
		if answer != nil {
			b, _ := io.ReadAll(answer.Body)
			err = fmt.Errorf("%w: %s: %s", err, answer.Status, b)
		}
		return nil, err
	}
	d := &device{ws: ws, addr: ws.LocalAddr().String(), waiting: map[uint16]chan struct{}{}, received: make(chan *packets.PublishPacket, 100_000)}
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.ClientIdentifier, hello.CleanSession, hello.Keepalive = "MQTT", 4, id, clean, 600
	connected := make(chan struct{})
	d.waiting[0] = connected
	go d.read()
	err = d.send(hello)
	if err == nil {
		err = d.wait(ctx, 0, connected)
	}
	if err != nil {
		ws.Close()
		return nil, err
	}
	return d, nil
}

// close breaks the connection off, as power loss at the device would.
func (d *device) close() { d.ws.Close() }

// A frames is the payload of WebSocket frames in one row.
type frames struct {
	ws  *websocket.Conn
	now io.Reader
}

func (f *frames) Read(p []byte) (int, error) {
	for {
		if f.now == nil {
			_, r, err := f.ws.NextReader()
			if err != nil {
				return 0, err
			}
			f.now = r
		}
		n, err := f.now.Read(p)
		if err == io.EOF {
			f.now, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (d *device) read() {
	in := &frames{ws: d.ws}
	for {
		p, err := packets.ReadPacket(in)
		if err == nil {
			err = d.take(p)
		}
		if err != nil {
			d.mu.Lock()
			d.err = err
			for _, ch := range d.waiting {
				close(ch)
			}
			d.waiting = map[uint16]chan struct{}{}
			d.mu.Unlock()
			close(d.received)
			return
		}
	}
}

func (d *device) take(p packets.ControlPacket) error {
	switch p := p.(type) {
	case *packets.ConnackPacket:
		if p.ReturnCode != 0 {
			return fmt.Errorf("CONNACK %d", p.ReturnCode)
		}
		d.acked(0)
	case *packets.PubackPacket:
		d.acked(p.MessageID)
	case *packets.SubackPacket:
		if p.ReturnCodes[0] > 1 {
			return errors.New("the subscription was refused")
		}
		d.acked(p.MessageID)
	case *packets.PublishPacket:
		d.received <- p
		if p.Qos == 1 {
			ok := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ok.MessageID = p.MessageID
			return d.send(ok)
		}
	}
	return nil
}

func (d *device) acked(id uint16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ch := d.waiting[id]; ch != nil {
		delete(d.waiting, id)
		close(ch)
	}
}

func (d *device) send(p packets.ControlPacket) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	w, err := d.ws.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return err
	}
	if err := p.Write(w); err != nil {
		return err
	}
	return w.Close()
}

// wait returns when the packet with an id has been acknowledged.
func (d *device) wait(ctx context.Context, id uint16, ch chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(deviceWait):
		return fmt.Errorf("packet %d was never acknowledged", id)
	case <-ch:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *device) register() (uint16, chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	ch := make(chan struct{})
	d.waiting[d.next] = ch
	return d.next, ch
}

// publish sends with QoS 1 and waits for the PUBACK.
func (d *device) publish(ctx context.Context, topic, payload string, retain bool, a *ack) error {
	id, ch := d.register()
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Payload, p.Qos, p.Retain, p.MessageID = topic, []byte(payload), 1, retain, id
	return d.ask(ctx, p, id, ch, packets.Puback, a)
}

func (d *device) subscribe(ctx context.Context, filter string, a *ack) error {
	id, ch := d.register()
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.Topics, p.Qoss, p.Qos, p.MessageID = []string{filter}, []byte{1}, 1, id
	return d.ask(ctx, p, id, ch, packets.Suback, a)
}

func (d *device) ask(ctx context.Context, p packets.ControlPacket, id uint16, ch chan struct{}, kind byte, a *ack) error {
	if err := d.send(p); err != nil {
		return err
	}
	if err := d.wait(ctx, id, ch); err != nil {
		return err
	}
	*a = ack{got: true, addr: d.addr, kind: kind, packet: id}
	return nil
}

// until returns what was received before a message with a payload.
func (d *device) until(ctx context.Context, payload string) ([]*packets.PublishPacket, error) {
	var out []*packets.PublishPacket
	for {
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-time.After(deviceWait):
			return out, fmt.Errorf("waited %v for %q", deviceWait, payload)
		case p, ok := <-d.received:
			if !ok {
				return out, d.err
			}
			if string(p.Payload) == payload {
				return out, nil
			}
			out = append(out, p)
		}
	}
}
