package mqtt_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"strait/door/mqtt"
)

// pieces is a connection from which data comes in pieces of given sizes.
type pieces struct {
	net.Conn
	data  []byte
	sizes []byte // of the next pieces, in units; the rest comes as it is asked for
	unit  int
	ready bool // before was called since the last read
}

func (p *pieces) Read(b []byte) (int, error) {
	if !p.ready {
		return 0, errors.New("a read that could block, and nobody was told before")
	}
	p.ready = false
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := min(len(b), len(p.data))
	if len(p.sizes) > 0 {
		n = min(n, 1+int(p.sizes[0])*p.unit)
		p.sizes = p.sizes[1:]
	}
	copy(b, p.data[:n])
	p.data = p.data[n:]
	return n, nil
}

// Whatever the sizes in which bytes come and are asked for: what is read is
// what was sent, and before each read that could block it is said so.
func FuzzInput(f *testing.F) {
	f.Add([]byte("short"), []byte{0, 1}, []byte{0, 3})
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 5000), []byte{255, 255, 255, 3, 255, 255}, []byte{0, 255, 9, 255})
	f.Add(bytes.Repeat([]byte("x"), 512), []byte{255}, []byte{0})
	f.Fuzz(func(t *testing.T, data, comes, asks []byte) {
		p := &pieces{data: data, sizes: comes, unit: 100}
		in := mqtt.NewInput(p, func(bool) { p.ready = true })
		var got []byte
		for i := 0; ; i++ {
			ask := 0
			if len(asks) > 0 {
				ask = int(asks[i%len(asks)]) * 150
			}
			if ask == 0 {
				b, err := in.ReadByte()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, b)
				continue
			}
			buf := make([]byte, ask)
			n, err := in.Read(buf)
			if got = append(got, buf[:n]...); err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("read %d bytes that are not the %d that were sent", len(got), len(data))
		}
	})
}

// A client that does not read keeps nobody: what the kernel does not take is
// left over, and arrives in its place later.
func TestSocketLeavesOver(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := mqtt.Listener(plain)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, c := range []net.Conn{client, nc} {
		_ = c.SetDeadline(time.Now().Add(patience))
	}
	sent := make([]byte, 16<<20)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	at, left := 0, false
	for !left && at < len(sent)-1000 {
		n := min(64<<10, len(sent)-1000-at)
		if left, err = mqtt.Try(nc, sent[at:at+n]); err != nil {
			t.Fatal(err)
		}
		at += n
	}
	if !left {
		t.Fatalf("the kernel took %d bytes for a client that does not read", at)
	}
	if _, err := mqtt.Try(nc, sent[at:at+500]); err != nil { // behind the rest
		t.Fatal(err)
	}
	at += 500
	read := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(client)
		read <- b
	}()
	if err := mqtt.Finish(nc); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(sent[at : at+100]); err != nil {
		t.Fatal(err)
	}
	at += 100
	_ = nc.Close()
	if got := <-read; !bytes.Equal(got, sent[:at]) {
		t.Fatalf("%d bytes arrived that are not the %d that were sent", len(got), at)
	}
}
