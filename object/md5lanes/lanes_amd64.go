package md5lanes

import "golang.org/x/sys/cpu"

//go:generate sh -c "go run gen.go > lanes_amd64.s"

// able tells whether the processor has what blocks needs.
func able() bool { return cpu.X86.HasAVX2 }

// blocks goes on with MD5 in each lane by n blocks of 64 bytes, n at least 1.
//
//go:noescape
func blocks(state *[4][width]uint32, lanes *[width]*byte, n int)
