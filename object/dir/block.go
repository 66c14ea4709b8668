package dir

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A body lies in a segment as blocks of blockSize bytes, the last one shorter,
// each followed by a sum. The sum is over the seed of the body, the number of
// the block within the body, and its bytes: so stale or misplaced bytes, which
// carry a good sum of their own, are found out, too.
const (
	blockSize = 128 << 10
	sumSize   = 4
)

// errDamaged says that bytes in a segment are not those that were written.
var errDamaged = errors.New("stored bytes are damaged")

// sealBlock appends the sum of data, block number index of a body, to it.
func sealBlock(seed id, index int64, data []byte) []byte {
	return binary.BigEndian.AppendUint32(data, blockSum(seed, index, data))
}

// openBlock returns frame without its sum, or errDamaged.
func openBlock(seed id, index int64, frame []byte) ([]byte, error) {
	n := len(frame) - sumSize
	if n < 0 || binary.BigEndian.Uint32(frame[n:]) != blockSum(seed, index, frame[:n]) {
		return nil, errDamaged
	}
	return frame[:n], nil
}

func blockSum(seed id, index int64, data []byte) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli) // shared; no work but the first time
	var head [idSize + 8]byte
	copy(head[:], seed[:])
	binary.BigEndian.PutUint64(head[idSize:], uint64(index))
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, data)
}

// inFile returns how many bytes of a segment hold length bytes of a body.
func inFile(length int64) int64 {
	return length + sumSize*((length+blockSize-1)/blockSize)
}
