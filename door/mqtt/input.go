package mqtt

import (
	"net"
	"sync"
	"time"
)

// An input reads from a connection. While a client is silent it holds little
// memory: a small buffer of its own, and a large one only as long as more than
// the small one held has come at once.
//
// It moves the connection's read deadline on with each read: a client that is
// silent for one and a half times its keep-alive makes it fail with
// os.ErrDeadlineExceeded.
type input struct {
	nc net.Conn
	// before, when set, is called before what could block. more says that the
	// client has probably said more already.
	before func(more bool)

	silence time.Duration // 0: the deadline is left alone
	slack   time.Duration
	moved   time.Time

	b     []byte // what has been read and not taken
	full  bool   // the last read filled its buffer
	small [smallInput]byte
	large *[largeInput]byte
}

const (
	smallInput = 512
	largeInput = 16 << 10 // a TLS record's content
)

var largeInputs = sync.Pool{New: func() any { return new([largeInput]byte) }}

func (in *input) keep(alive time.Duration) {
	in.silence = alive + alive/2
	in.slack = min(time.Second, alive/16)
}

// Read is that of io.Reader.
func (in *input) Read(p []byte) (int, error) {
	if len(in.b) == 0 {
		if len(p) >= largeInput {
			return in.read(p)
		}
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.b)
	in.b = in.b[n:]
	return n, nil
}

// ReadByte is that of io.ByteReader.
func (in *input) ReadByte() (byte, error) {
	if len(in.b) == 0 {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	first := in.b[0]
	in.b = in.b[1:]
	return first, nil
}

// fill reads once, something at least.
func (in *input) fill() error {
	buf := in.small[:]
	switch {
	case in.full && in.large == nil:
		in.large = largeInputs.Get().(*[largeInput]byte)
		buf = in.large[:]
	case in.full:
		buf = in.large[:]
	default:
		in.release()
	}
	for {
		n, err := in.read(buf)
		if n > 0 { // an error comes again
			in.b, in.full = buf[:n], n == len(buf)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (in *input) read(p []byte) (int, error) {
	if in.before != nil {
		in.before(in.full)
	}
	if in.silence > 0 {
		// Moving a deadline costs more than looking at the clock, so it is
		// set a little later and then left alone for as long.
		if now := time.Now(); now.Sub(in.moved) >= in.slack {
			if err := in.nc.SetReadDeadline(now.Add(in.silence + in.slack)); err != nil {
				return 0, err
			}
			in.moved = now
		}
	}
	return in.nc.Read(p)
}

// release gives the large buffer away; what was read has been taken.
func (in *input) release() {
	if in.large != nil {
		largeInputs.Put(in.large)
		in.large = nil
	}
}
