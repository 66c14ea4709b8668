package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"strait/setup"
)

// thingCommand makes things.
type thingCommand struct {
	Create thingCreateCommand `cmd:"" help:"Make a thing with a certificate, its key and its policy, or complete it."`
}

type thingCreateCommand struct {
	Thing string `arg:"" help:"Name of the thing."`
	Out   string `required:"" placeholder:"DIR" help:"Directory for the certificate and the key." type:"path"`
	JSON  bool   `name:"json" help:"Print the result as JSON."`
}

// Run is called by kong.
func (c *thingCreateCommand) Run(ctx context.Context) error {
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	out, err := setup.Thing(ctx, s, c.Thing, c.Out)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(out)
	}
	conclude(false, out.Changed)
	fmt.Printf("  certificate  %s\n  key          %s\n", out.Certificate, out.Key)
	if out.CA != "" {
		fmt.Printf("  ca           %s\n", out.CA)
	}
	fmt.Println("\nHow to connect:")
	for _, line := range out.Connect {
		fmt.Println(line)
	}
	return nil
}
