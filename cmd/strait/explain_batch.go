package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"strait/policy"
)

// maxBatchLine is what one line of a batch may have.
const maxBatchLine = 1 << 20

// A batchAnswer is one line of the output: the answer, or why there is none.
type batchAnswer struct {
	Line int `json:"line"`
	policy.Answer
}

type batchFault struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// batch answers the lines of file ("-" is standard input) without any server.
// It fails when a decision is not the one that its line expects, or a line
// cannot be read.
func (c *explainCommand) batch() error {
	in := os.Stdin
	if c.Batch != "-" {
		f, err := os.Open(c.Batch)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	lines, differ, faulty, err := batch(in, os.Stdout)
	switch {
	case err != nil:
		return err
	case differ > 0 && faulty > 0:
		return fmt.Errorf("%d of %d decisions differ from what was expected, and %d lines cannot be read", differ, lines, faulty)
	case differ > 0:
		return fmt.Errorf("%d of %d decisions differ from what was expected", differ, lines)
	case faulty > 0:
		return fmt.Errorf("%d of %d lines cannot be read", faulty, lines)
	}
	return nil
}

// batch answers every line of in, in order.
func batch(in io.Reader, to io.Writer) (lines, differ, faulty int, err error) {
	out := bufio.NewWriterSize(to, 256<<10)
	write := json.NewEncoder(out)
	write.SetEscapeHTML(false)
	var b policy.Batch
	r := bufio.NewScanner(in)
	r.Buffer(make([]byte, 64<<10), maxBatchLine)
	for number := 1; r.Scan(); number++ {
		text := r.Text()
		if text == "" {
			continue
		}
		lines++
		a, err := b.Line(text)
		if err != nil {
			faulty++
			err = write.Encode(batchFault{number, err.Error()})
		} else {
			if a.Differs {
				differ++
			}
			err = write.Encode(batchAnswer{number, a})
		}
		if err != nil {
			return lines, differ, faulty, err
		}
	}
	if err := r.Err(); err != nil {
		out.Flush()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("line %d is longer than %d bytes", lines+1, maxBatchLine)
		}
		return lines, differ, faulty, err
	}
	return lines, differ, faulty, out.Flush()
}
