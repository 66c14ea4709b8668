package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"strait/api"
)

// coverageCommand prints which of AWS's operations are offered.
type coverageCommand struct {
	Service string `arg:"" optional:"" help:"One service only: iot, iotdata, credentials, sts, iam, s3, lambda, logs, ..."`
}

// Run is called by kong.
func (c *coverageCommand) Run(context.Context) error {
	all, err := api.Coverage()
	if err != nil {
		return err
	}
	if c.Service != "" {
		var kept []api.Covered
		for _, o := range all {
			if o.Service == c.Service {
				kept = append(kept, o)
			}
		}
		if len(kept) == 0 {
			return fmt.Errorf("no service is called %q here", c.Service)
		}
		all = kept
	}
	return printCoverage(os.Stdout, all)
}

// printCoverage writes the table as Markdown, which is readable as it is.
func printCoverage(w io.Writer, all []api.Covered) error {
	var b strings.Builder
	b.WriteString("# What is offered of AWS\n\nMade by `strait coverage` from the tables themselves. Everything else that these services have is refused with a\nclear error, for the reason given.\n")
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].Service == all[i].Service {
			j++
		}
		section(&b, all[i:j])
		i = j
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func section(b *strings.Builder, of []api.Covered) {
	var offered []string
	refused, reasons := map[string][]string{}, []string{}
	for _, o := range of {
		if o.Offered {
			offered = append(offered, o.Operation)
			continue
		}
		if refused[o.Why] == nil {
			reasons = append(reasons, o.Why)
		}
		refused[o.Why] = append(refused[o.Why], o.Operation)
	}
	fmt.Fprintf(b, "\n## %s: %d of %d operations\n\n%s\n", of[0].Service, len(offered), len(of), strings.Join(offered, " "))
	if len(reasons) > 0 {
		b.WriteString("\n| Refused | Why |\n|---|---|\n")
	}
	for _, why := range reasons {
		fmt.Fprintf(b, "| %s | %s |\n", strings.Join(refused[why], " "), why)
	}
}
