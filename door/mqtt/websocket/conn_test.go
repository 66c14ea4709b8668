package websocket_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"strait/door/mqtt/websocket"
)

// wire is a connection whose client has sent everything already, and that
// keeps what the server answers.
type wire struct {
	net.Conn // nil: what is not overridden must not be called
	in       io.Reader
	out      bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error)       { return w.in.Read(p) }
func (w *wire) Write(p []byte) (int, error)      { return w.out.Write(p) }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
func (w *wire) Close() error                     { return nil }

func over(in []byte) (*websocket.Conn, *wire) {
	w := &wire{in: bytes.NewReader(in)}
	return websocket.NewConn(w, bufio.NewReaderSize(w, 16)), w
}

// frame is a client's frame. A length code of 0 is chosen as needed.
func frame(first byte, payload []byte, key [4]byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i&3])
	}
	return b
}

var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func TestFragmentsWithAPingInside(t *testing.T) {
	in := bytes.Join([][]byte{
		frame(0x02, []byte("one "), key),
		frame(0x89, []byte("are you there"), key),
		frame(0x00, nil, key),
		frame(0x00, []byte("two "), [4]byte{}),
		frame(0x8a, []byte("unasked"), key),
		frame(0x80, []byte("three "), key),
		frame(0x82, bytes.Repeat([]byte("4"), 70_000), key),
		frame(0x88, []byte{0x03, 0xe8}, key),
	}, nil)
	c, w := over(in)
	got, err := io.ReadAll(c)
	if want := "one two three " + strings.Repeat("4", 70_000); string(got) != want || err != websocket.ErrGoodbye {
		t.Errorf("read %d bytes, %v, want %d and ErrGoodbye", len(got), err, len(want))
	}
	if want := "\x8a\x0dare you there\x88\x02\x03\xe8"; w.out.String() != want {
		t.Errorf("answered %q, want a pong and a close frame: %q", w.out.String(), want)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after the close frame = %v, want net.ErrClosed", err)
	}
}

func TestFaults(t *testing.T) {
	unmasked := []byte{0x82, 0x01, 'x'}
	for _, f := range []struct {
		name string
		in   []byte
		code uint16
	}{
		{"not masked", unmasked, 1002},
		{"reserved bit", frame(0xc2, []byte("x"), key), 1002},
		{"text", frame(0x81, []byte("x"), key), 1003},
		{"opcode 3", frame(0x83, []byte("x"), key), 1002},
		{"opcode 11", frame(0x8b, []byte("x"), key), 1002},
		{"a fragment without beginning", frame(0x80, []byte("x"), key), 1002},
		{"a beginning inside a message", append(frame(0x02, nil, key), frame(0x82, nil, key)...), 1002},
		{"fragmented ping", frame(0x09, nil, key), 1002},
		{"ping of 126 bytes", frame(0x89, make([]byte, 126), key), 1002},
		{"length 5 in two bytes", []byte{0x82, 0xfe, 0, 5, 0, 0, 0, 0}, 1002},
		{"length 5 in eight bytes", []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0}, 1002},
		{"negative length", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1002},
		{"17 MiB", []byte{0x82, 0xff, 0, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0}, 1009},
		{"close of one byte", frame(0x88, []byte{3}, key), 1002},
		{"close with 1005", frame(0x88, []byte{0x03, 0xed}, key), 1002},
		{"close with a bad reason", frame(0x88, []byte{0x03, 0xe8, 0xff}, key), 1007},
	} {
		c, w := over(f.in)
		got, err := io.ReadAll(c)
		if len(got) > 0 || !errors.Is(err, websocket.ErrProtocol) {
			t.Errorf("%s: read %q, %v, want ErrProtocol", f.name, got, err)
		}
		if want := binary.BigEndian.AppendUint16([]byte{0x88, 2}, f.code); !bytes.Equal(w.out.Bytes(), want) {
			t.Errorf("%s: answered %x, want %x", f.name, w.out.Bytes(), want)
		}
	}
}

func TestEnds(t *testing.T) {
	whole := frame(0x82, bytes.Repeat([]byte("x"), 300), key)
	for n := range whole {
		c, _ := over(whole[:n])
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, err := io.Copy(io.Discard, onlyReader{c}); err != want && !(n == 0 && err == nil) {
			t.Errorf("%d of %d bytes: %v, want %v", n, len(whole), err, want)
		}
	}
	c, _ := over(frame(0x88, nil, key))
	if _, err := io.ReadAll(c); err != websocket.ErrGoodbye {
		t.Errorf("an empty close frame: %v, want ErrGoodbye", err)
	}
}

type onlyReader struct{ io.Reader }

func TestWriteIsOneFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65_535, 65_536, 200_000} {
		c, w := over(nil)
		p := bytes.Repeat([]byte("x"), n)
		if got, err := c.Write(p); got != n || err != nil {
			t.Fatalf("Write of %d bytes = %d, %v", n, got, err)
		}
		b := w.out.Bytes()
		at := map[bool]int{true: 2, false: 4}[n < 126]
		if n > 65_535 {
			at = 10
		}
		if b[0] != 0x82 || b[1]&0x80 != 0 || !bytes.Equal(b[at:], p) {
			t.Errorf("a frame of %d bytes begins %x and has %d bytes", n, b[:2], len(b))
		}
	}
}

// FuzzRead: bytes cut into frames anywhere, with pings between them, come out
// as they went in, however they are asked for.
func FuzzRead(f *testing.F) {
	f.Add([]byte("hello, world, this is a longer text than sixteen"), []byte{3, 0, 17, 200}, uint32(0x37fa213d), uint8(7))
	f.Add([]byte{}, []byte{0, 0, 0}, uint32(0), uint8(1))
	f.Add(bytes.Repeat([]byte("0123456789"), 50), []byte{255, 130}, uint32(1), uint8(255))
	f.Fuzz(func(t *testing.T, data, cuts []byte, mask uint32, size uint8) {
		var in []byte
		left, first := data, byte(0x02)
		k := [4]byte(binary.BigEndian.AppendUint32(nil, mask))
		for i, cut := range cuts {
			n := min(int(cut), len(left))
			in = append(in, frame(first, left[:n], k)...)
			left, first = left[n:], 0x00
			if cut%3 == 0 {
				in = append(in, frame(0x89, cuts[:min(i, 125)], k)...)
			}
			if cut%5 == 0 { // the message ends, another begins
				in = append(in, frame(0x80, nil, k)...)
				first = 0x02
			}
		}
		in = append(in, frame(0x80|first, left, k)...)
		c, _ := over(in)
		var got []byte
		buf := make([]byte, int(size)+1)
		for {
			n, err := c.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				if err != io.EOF {
					t.Fatal(err)
				}
				break
			}
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came out as %d: %x, want %x", len(data), len(got), got, data)
		}
	})
}

// FuzzReadAnything: bytes that nobody framed give no panic, never more than
// there was, and an error that stays.
func FuzzReadAnything(f *testing.F) {
	f.Add(frame(0x82, []byte("x"), key))
	f.Add(frame(0x89, []byte("x"), key))
	f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, in []byte) {
		c, _ := over(in)
		n, err := io.Copy(io.Discard, onlyReader{c})
		if n > int64(len(in)) {
			t.Fatalf("%d bytes out of %d", n, len(in))
		}
		if _, again := c.Read(make([]byte, 1)); again == nil || err != nil && again != err {
			t.Fatalf("after %v came %v", err, again)
		}
	})
}
