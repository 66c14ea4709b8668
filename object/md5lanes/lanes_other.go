//go:build !amd64

package md5lanes

func able() bool { return false }

func blocks(*[4][width]uint32, *[width]*byte, int) { panic("md5lanes: no lanes on this processor") }
