package device

import (
	"hash"

	"github.com/minio/crc64nvme"
)

// nvme is the polynomial of CRC64NVME, reversed (s3-upload.md, section 5).
const nvme = 0x9a6c9329ac4bc9b5

// newCRC uses carry-less multiplication where the processor has it: summing
// then costs a tenth of what encryption does, instead of twice as much.
func newCRC() hash.Hash64 { return crc64nvme.New() }

// combineCRC returns the checksum of two pieces that follow each other, from
// their own and the second one's length. A CRC is linear: appending zeros to
// the first piece multiplies its register by a power of x, which is found by
// squaring; the inversions at both ends cancel out.
func combineCRC(first, second uint64, length int64) uint64 {
	if length <= 0 {
		return first
	}
	var odd, even [64]uint64
	// One zero bit: shift, and subtract the polynomial when a bit falls out.
	odd[0] = nvme
	for i := 1; i < 64; i++ {
		odd[i] = 1 << (i - 1)
	}
	square(&even, &odd) // two bits
	square(&odd, &even) // four bits
	for n := uint64(length); ; {
		square(&even, &odd) // first time: eight bits, one byte
		if n&1 != 0 {
			first = times(&even, first)
		}
		if n >>= 1; n == 0 {
			break
		}
		square(&odd, &even)
		if n&1 != 0 {
			first = times(&odd, first)
		}
		if n >>= 1; n == 0 {
			break
		}
	}
	return first ^ second
}

// times multiplies a matrix over GF(2) with a vector.
func times(m *[64]uint64, v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func square(to, m *[64]uint64) {
	for i := range m {
		to[i] = times(m, m[i])
	}
}
