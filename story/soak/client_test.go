package soak_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"strait/await"
	"strait/door/mqtt/packet"
)

// patience is how long anything may take that must happen.
const patience = await.Patience

// A wire is one connection of a client.
type wire struct {
	nc net.Conn
	in *packet.Reader
	v5 bool
}

// dial connects; the bool tells whether the session was there.
func (x *target) dial(c packet.Connect) (*wire, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	nc, err := (&tls.Dialer{Config: x.tls}).DialContext(ctx, "tcp", x.ready.MQTT[0])
	if err != nil {
		return nil, false, err
	}
	w := &wire{nc: nc, in: packet.NewReader(bufio.NewReaderSize(nc, 4<<10), 1<<20), v5: c.Version == packet.V5}
	if w.v5 {
		w.in.Version = packet.V5
		if !c.Clean {
			c.Props = &packet.Properties{Present: packet.Of(packet.SessionExpiry), SessionExpiry: 3600}
		}
	}
	c.KeepAlive = 1200
	_ = nc.SetDeadline(time.Now().Add(patience))
	if err := w.send(&c); err != nil {
		nc.Close()
		return nil, false, err
	}
	p, err := w.in.Read()
	ack, ok := p.(*packet.Connack)
	if err != nil || !ok || ack.Code != 0 {
		nc.Close()
		return nil, false, fmt.Errorf("CONNECT %s: %+v, %v", c.ClientID, p, err)
	}
	_ = nc.SetDeadline(time.Time{})
	return w, ack.SessionPresent, nil
}

func (w *wire) send(ps ...packet.Packet) error {
	var b []byte
	for _, p := range ps {
		var err error
		if b, err = p.Append(b); err != nil {
			return err
		}
	}
	_ = w.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err := w.nc.Write(b)
	return err
}

// subscribe waits for the SUBACK; what else comes first is given to other.
func (w *wire) subscribe(filter string, qos byte, other func(*packet.Publish)) error {
	if err := w.send(&packet.Subscribe{V5: w.v5, PacketID: 1, Subscriptions: []packet.Subscription{{Filter: filter, QoS: qos}}}); err != nil {
		return err
	}
	_ = w.nc.SetReadDeadline(time.Now().Add(patience))
	defer w.nc.SetReadDeadline(time.Time{})
	for {
		p, err := w.in.Read()
		if err != nil {
			return err
		}
		switch p := p.(type) {
		case *packet.Suback:
			if len(p.Codes) != 1 || p.Codes[0] != qos {
				return fmt.Errorf("SUBACK % x", p.Codes)
			}
			return nil
		case *packet.Publish:
			other(p)
		}
	}
}

func (w *wire) ack(p *packet.Publish) error {
	if p.QoS == 0 {
		return nil
	}
	return w.send(&packet.Ack{V5: w.v5, Kind: packet.TypePuback, PacketID: p.PacketID})
}

// leave says goodbye and waits until the server has closed.
func (w *wire) leave() {
	if w.v5 {
		_ = w.send(&packet.Leave{Kind: packet.TypeDisconnect})
	} else {
		_ = w.send(&packet.Empty{Kind: packet.TypeDisconnect})
	}
	_ = w.nc.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, err := w.in.Read(); err != nil {
			break
		}
	}
	w.nc.Close()
}

// cut breaks the connection off, without TLS's goodbye; what is under way in
// either direction may be lost.
func (w *wire) cut() {
	raw := w.nc.(*tls.Conn).NetConn()
	_ = raw.(*net.TCPConn).SetLinger(0)
	raw.Close()
}

// ended tells whether err is a connection's end and no fault of the server.
func ended(err error) bool {
	var op *net.OpError
	return err != nil && (errors.Is(err, net.ErrClosed) || errors.As(err, &op) || err.Error() == "EOF" || err.Error() == "unexpected EOF")
}
