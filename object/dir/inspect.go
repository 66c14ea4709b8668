package dir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"strait/object"
	"strait/state"
)

// Found is what Inspect has seen.
type Found struct {
	Buckets, Objects, Uploads, Parts int
	Bytes                            int64 // of objects and parts, with the sums of their blocks
	Damaged                          int
	// Orphans are in no object and no upload, such as a crash leaves behind. The
	// next start gives their space back.
	Orphans []string
}

// Inspect reads everything in path, which no process may have open, and changes
// nothing. What is damaged or missing is reported; its error is for what kept it
// from looking.
func Inspect(ctx context.Context, path string, facts state.Store, report func(object.Problem)) (f Found, err error) {
	if _, err := os.Stat(filepath.Join(path, "segments")); err != nil {
		return f, fmt.Errorf("there is no object store: %w", err)
	}
	s, err := Open(path, facts, Options{inspect: true})
	if err != nil {
		return f, err
	}
	defer s.Close()
	tell := func(p object.Problem) { f.Damaged++; report(p) }

	// 1. Records, by themselves.
	k, err := s.takeStock(ctx)
	if err != nil {
		return f, err
	}
	for _, n := range k.living {
		f.Bytes += n
	}
	for _, key := range k.orphans {
		v, number, _ := splitPartKey(key)
		f.Orphans = append(f.Orphans, fmt.Sprintf("part %d of the ended upload %s", number, v))
	}
	for _, c := range []struct {
		prefix string
		n      *int
	}{{bucketPrefix, &f.Buckets}, {objectPrefix, &f.Objects}, {uploadPrefix, &f.Uploads}, {partPrefix, &f.Parts}} {
		if err := s.each(ctx, c.prefix, func(state.Fact) error { *c.n++; return nil }); err != nil {
			return f, err
		}
	}
	f.Parts -= len(k.orphans)
	// Check tells of the other kinds, with their names.
	for _, key := range k.unreadable {
		if v, number, ok := splitPartKey(key); ok {
			tell(object.Problem{Part: number, Message: fmt.Sprintf("the record of part %d of upload %s is damaged", number, v)})
		}
	}
	if _, err := s.Buckets(ctx); err != nil {
		tell(object.Problem{Message: fmt.Sprintf("the record of a bucket: %v", err)})
	}

	// 2. Files.
	orphans, err := s.segments.strays(k)
	if err != nil {
		return f, err
	}
	f.Orphans = append(f.Orphans, orphans...)

	// 3. Bytes.
	return f, s.Check(ctx, tell)
}

// strays are files, and ends of files, that no record names.
func (s *segments) strays(k *stock) (all []string, err error) {
	entries, err := os.ReadDir(s.dir.Name())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		number, ok := segmentNumber(e.Name())
		switch end := k.ends[number]; {
		case !ok:
			all = append(all, fmt.Sprintf("file %s, which is no segment and stays", e.Name()))
		case end == 0:
			all = append(all, fmt.Sprintf("segment %016x, %d bytes", number, info.Size()))
		case info.Size() > end:
			all = append(all, fmt.Sprintf("the last %d bytes of segment %016x", info.Size()-end, number))
		}
	}
	slices.Sort(all)
	return all, nil
}
