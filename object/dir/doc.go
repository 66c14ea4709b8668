// Package dir keeps objects in a directory: their bytes in segment files, the
// facts about them in a state.Store. It implements object.Store.
//
// It knows bytes, names and sums. It refuses to know who asks, what may be
// asked, and any wire.
//
// # Where things are
//
// A body is cut into blocks, each followed by a seeded CRC-32C (block.go), and
// appended to a segment file that nobody else writes to meanwhile
// (segment.go). The places where its blocks lie are its extents. An object is
// a manifest under one key of the state store (record.go, key.go): extents for
// a single Put, and for a multipart upload the numbers and sizes of its parts,
// whose own records stay where PutPart left them. So Complete is one batch of
// a few hundred bytes, whatever the size of the object.
//
// # Why nothing is lost
//
// The order is always: bytes and directory entry fsynced, then one Apply, then
// the answer. (Of a large body most is on its way to the disk before that fsync,
// which counts alone.) What lies in a segment and is named by no record is garbage.
// Opening needs no repair: it counts what is named (scan.go), unlinks segments
// that nothing names, cuts garbage off the ends of the others, and never
// appends to a segment of an earlier life.
//
// # Space
//
// Each segment counts its living bytes. One that is full and has none is
// unlinked at once; inside others the dead stretches are given back to the
// file system where it can (punch_linux.go): large ones at once, small ones
// side by side by a sweep (sweep.go). Segments are never copied. A version that
// someone is reading stays alive until the last Reader is closed.
//
// Begin at dir.go, then write.go and put.go.
package dir
