package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"strait/object"
	"strait/object/dir"
	"strait/state/local"
)

// objectsCommand looks after the object store of a data directory.
type objectsCommand struct {
	Check objectsCheckCommand `cmd:"" help:"Read every object in a data directory whose server is stopped, and say what is damaged."`
}

// objectsCheckCommand changes nothing but what opening the database after a
// crash changes.
type objectsCheckCommand struct {
	Data string `required:"" help:"Data directory of the stopped server." type:"path"`
}

// Run is called by kong.
func (c *objectsCheckCommand) Run(ctx context.Context) error {
	at := filepath.Join(c.Data, "state")
	if _, err := os.Stat(at); err != nil {
		return fmt.Errorf("%s is no data directory of strait: %w", c.Data, err)
	}
	facts, err := local.Open(at, local.Options{})
	if err != nil {
		return fmt.Errorf("open the database (is the server stopped?): %w", err)
	}
	found, err := dir.Inspect(ctx, filepath.Join(c.Data, "objects"), facts, func(p object.Problem) { fmt.Println("DAMAGED", problem(p)) })
	if err := errors.Join(err, facts.Close()); err != nil {
		return err
	}
	for _, o := range found.Orphans {
		fmt.Println("unused ", o)
	}
	fmt.Printf("%d buckets, %d objects, %d open uploads, %d parts, %d bytes: %d damaged, %d unused\n",
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
