package md5lanes

import (
	"bytes"
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"hash"
)

const (
	width     = 8
	blockSize = md5.BlockSize
	// stretch is how many bytes of each lane are done in one call, which
	// nothing can interrupt: some 20 microseconds.
	stretch = 16 << 10
)

// hash takes all members on by t.bytes. Their state changes at the very end.
func (t *team) hash() {
	if t.n == 1 {
		t.members[0].sum.Write(t.data[0][:t.bytes])
		return
	}
	var state [4][width]uint32
	var lanes [width]*byte
	var saved [width][encoded]byte
	for i, m := range t.members[:t.n] {
		b, ok := save(m.sum, saved[i][:0])
		if !ok {
			panic("md5lanes: the state of crypto/md5 is not as it was at the start")
		}
		for w := range state {
			state[w][i] = binary.BigEndian.Uint32(b[atState+4*w:])
		}
	}
	for from := 0; from < t.bytes; from += stretch {
		for i := range lanes {
			lanes[i] = &t.data[0][from] // what lanes without a member do is not looked at
			if i < t.n {
				lanes[i] = &t.data[i][from]
			}
		}
		blocks(&state, &lanes, min(stretch, t.bytes-from)/blockSize)
	}
	for i, m := range t.members[:t.n] {
		b := saved[i][:]
		for w := range state {
			binary.BigEndian.PutUint32(b[atState+4*w:], state[w][i])
		}
		length := binary.BigEndian.Uint64(b[atLength:])
		binary.BigEndian.PutUint64(b[atLength:], length+uint64(t.bytes))
		if err := m.sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(b); err != nil {
			panic("md5lanes: " + err.Error())
		}
	}
}

// The state of crypto/md5 as it encodes it: a mark, the four words, a block that
// is not full, the number of bytes. It promises to read what it wrote, not that
// this is how; so New has it proven, and does without lanes if it is not.
const (
	mark     = "md5\x01"
	atState  = len(mark)
	atLength = atState + 16 + blockSize
	encoded  = atLength + 8
)

func save(h hash.Hash, into []byte) (b []byte, ok bool) {
	a, ok := h.(encoding.BinaryAppender)
	if !ok {
		return nil, false
	}
	b, err := a.AppendBinary(into)
	return b, err == nil && len(b) == encoded && string(b[:atState]) == mark
}

// proven tells whether lanes come to what crypto/md5 comes to, here and now.
func proven() bool {
	data := make([]byte, width*stretch/4)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	const before, n = 2 * blockSize, 5 * blockSize
	var t team
	t.n, t.bytes = width, n
	for i := range t.members {
		d := &Digest{sum: md5.New()}
		at := i * 777
		d.sum.Write(data[at : at+before])
		if _, ok := save(d.sum, nil); !ok {
			return false
		}
		t.members[i], t.data[i] = d, data[at+before:at+before+n]
	}
	t.hash()
	for i, d := range t.members {
		at := i * 777
		d.sum.Write(data[at : at+i])
		h := md5.New()
		h.Write(data[at : at+before+n])
		h.Write(data[at : at+i])
		if !bytes.Equal(d.sum.Sum(nil), h.Sum(nil)) {
			return false
		}
	}
	return true
}
