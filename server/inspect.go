package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"strait/object"
	"strait/object/dir"
	"strait/state/local"
)

// CheckObjects reads every object in the data directory of a stopped server and
// writes to out what it finds, a line each. It changes nothing but what opening
// the database after a crash changes. Its error says how much is damaged, or
// what kept it from looking.
func CheckObjects(ctx context.Context, data string, out io.Writer) error {
	at := filepath.Join(data, "state")
	if _, err := os.Stat(at); err != nil {
		return fmt.Errorf("%s is no data directory of strait: %w", data, err)
	}
	facts, err := local.Open(at, local.Options{})
	if err != nil {
		return fmt.Errorf("open the database (is the server stopped?): %w", err)
	}
	found, err := dir.Inspect(ctx, filepath.Join(data, "objects"), facts, func(p object.Problem) { fmt.Fprintln(out, "DAMAGED", problem(p)) })
	if err := errors.Join(err, facts.Close()); err != nil {
		return err
	}
	for _, o := range found.Orphans {
		fmt.Fprintln(out, "unused ", o)
	}
	fmt.Fprintf(out, "%d buckets, %d objects, %d open uploads, %d parts, %d bytes: %d damaged, %d unused\n",
		found.Buckets, found.Objects, found.Uploads, found.Parts, found.Bytes, found.Damaged, len(found.Orphans))
	if found.Damaged > 0 {
		return fmt.Errorf("%d damaged: put them again, or restore the directory from a backup", found.Damaged)
	}
	return nil
}

// problem says what is wrong with what, on one line: keys may hold anything.
func problem(p object.Problem) string {
	var b strings.Builder
	if p.Key != "" || p.Bucket != "" {
		fmt.Fprintf(&b, "%q ", p.Bucket+"/"+p.Key)
	}
	if p.Upload != "" {
		fmt.Fprintf(&b, "upload %q ", p.Upload)
	}
	if p.Part > 0 {
		fmt.Fprintf(&b, "part %d ", p.Part)
	}
	return strings.TrimSpace(b.String()) + ": " + strings.ReplaceAll(p.Message, "\n", "; ")
}
