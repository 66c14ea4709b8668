package mqtt_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"strait/door/mqtt"
	"strait/door/mqtt/packet"
)

// A flood is a Connector and its Conn at once: it takes everything, and has
// always something more to deliver. The broker has no such endless queue.
type flood struct {
	payload []byte
	given   atomic.Int64 // bytes
	taken   atomic.Int64 // messages
	ended   chan bool
}

func (f *flood) Connect(context.Context, mqtt.Connect) (mqtt.Conn, bool, error) { return f, false, nil }
func (f *flood) Publish(context.Context, mqtt.Message, *mqtt.Wakes) (func(context.Context) error, error) {
	f.taken.Add(1)
	return nil, nil
}
func (f *flood) Subscribe(context.Context, []mqtt.Subscription, *mqtt.Wakes) ([]error, error) {
	return nil, nil
}
func (f *flood) Unsubscribe(context.Context, []string) ([]error, error) { return nil, nil }
func (f *flood) Ack(context.Context, uint16) error                      { return nil }
func (f *flood) Done() <-chan struct{}                                  { return nil }
func (f *flood) Close(_ context.Context, clean bool)                    { f.ended <- clean }

func (f *flood) Next(ctx context.Context, buf []mqtt.Delivery) ([]mqtt.Delivery, error) {
	if f.payload == nil {
		return nil, nil
	}
	for buf = buf[:0]; len(buf) < cap(buf); {
		buf = append(buf, mqtt.Delivery{Topic: "t", Payload: f.payload})
		f.given.Add(int64(len(f.payload)))
	}
	return buf, ctx.Err()
}

// serve serves f on a connection and returns the client's end of it.
func (f *flood) serve(t testing.TB, limits mqtt.Limits) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, bench := t.(*testing.B); !bench {
		// So that the kernel does not hide what the door does.
		_ = nc.(*net.TCPConn).SetReadBuffer(64 << 10)
		_ = there.(*net.TCPConn).SetWriteBuffer(64 << 10)
	}
	served := make(chan struct{})
	go func() {
		(&mqtt.Server{Connector: f, Limits: limits}).ServeConn(context.Background(), there)
		close(served)
	}()
	t.Cleanup(func() {
		_ = nc.Close()
		<-served
	})
	b, _ := (&packet.Connect{Version: packet.V311, ClientID: "a", Clean: true}).Append(nil)
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
	return nc
}

// TestBackPressure: what a client does not read is not fetched for it either,
// so what the door holds for it is bounded.
func TestBackPressure(t *testing.T) {
	f := &flood{payload: large[:32<<10], ended: make(chan bool, 1)}
	_ = f.serve(t, mqtt.Limits{Write: 300 * time.Millisecond})
	select {
	case clean := <-f.ended:
		if clean {
			t.Error("it counts as a goodbye")
		}
	case <-time.After(patience):
		t.Fatal("a client that does not read is never closed")
	}
	// Two kernel buffers, two of the writer and the batches of 8, 16, 32 ...
	if got := f.given.Load(); got > 4<<20 {
		t.Errorf("%d KiB were fetched for a client that reads nothing", got>>10)
	}
}

// TestAnswersAreBackPressureToo: nor may a client ask and ask without reading.
func TestAnswersAreBackPressureToo(t *testing.T) {
	f := &flood{ended: make(chan bool, 1)}
	nc := f.serve(t, mqtt.Limits{Write: 300 * time.Millisecond})
	_ = nc.SetWriteDeadline(time.Now().Add(patience))
	b, _ := (&packet.Publish{Topic: "t", QoS: 1, PacketID: 1}).Append(nil)
	for len(b) < 60<<10 {
		b = append(b, b...)
	}
	for {
		if _, err := nc.Write(b); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Fatal("a client that does not read its PUBACKs is never closed")
			}
			break
		}
	}
	<-f.ended
}

// BenchmarkPublish is the door alone: QoS 1 publishes, pipelined, each acknowledged.
func BenchmarkPublish(b *testing.B) {
	f := &flood{ended: make(chan bool, 1)}
	nc := f.serve(b, mqtt.Limits{})
	one, _ := (&packet.Publish{Topic: "device00/token/req", Payload: large[:100], QoS: 1, PacketID: 1}).Append(nil)
	var batch []byte
	for range 50 {
		batch = append(batch, one...)
	}
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for sent := 0; sent < b.N; sent += 50 {
			if _, err := nc.Write(batch); err != nil {
				return
			}
		}
	}()
	r := bufio.NewReaderSize(nc, 64<<10)
	if _, err := io.CopyN(io.Discard, r, 4+4*int64(b.N)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDeliver is the door alone: QoS 0 deliveries of 100 bytes.
func BenchmarkDeliver(b *testing.B) {
	f := &flood{payload: large[:100], ended: make(chan bool, 1)}
	nc := f.serve(b, mqtt.Limits{})
	one, _ := (&packet.Publish{Topic: "t", Payload: f.payload}).Append(nil)
	b.ReportAllocs()
	b.ResetTimer()
	r := bufio.NewReaderSize(nc, 64<<10)
	if _, err := io.CopyN(io.Discard, r, 4+int64(len(one))*int64(b.N)); err != nil {
		b.Fatal(err)
	}
}
