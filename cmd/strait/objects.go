package main

import (
	"context"
	"os"

	"strait/server"
)

// objectsCommand looks after the object store of a data directory.
type objectsCommand struct {
	Check objectsCheckCommand `cmd:"" help:"Read every object in a data directory whose server is stopped, and say what is damaged."`
}

// objectsCheckCommand is server.CheckObjects.
type objectsCheckCommand struct {
	Data string `required:"" help:"Data directory of the stopped server." type:"path"`
}

// Run is called by kong.
func (c *objectsCheckCommand) Run(ctx context.Context) error {
	return server.CheckObjects(ctx, c.Data, os.Stdout)
}
