package links_test

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"strait/function"
)

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	remove, err := build()
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "build strait:", err)
	} else {
		code = m.Run()
	}
	if remove != nil {
		remove()
	}
	os.Exit(code)
}

// A pattern is how a table is gone through.
type pattern struct {
	thing string // whose story it is
	steps []step
	links []link
	run   func(*house) (step, error)
}

func TestUpload(t *testing.T) {
	pattern{thing, uploadSteps, uploadLinks, (*house).upload}.test(t)
}

func TestTopic(t *testing.T) {
	pattern{client, topicSteps, topicLinks, (*house).narrow}.test(t)
}

func (p pattern) test(t *testing.T) {
	for _, v := range []variant{byARN, byAccount} {
		t.Run(string(v), func(t *testing.T) {
			h := open(t, v)
			p.works(h, "before anything is taken away")
			for _, l := range p.links {
				t.Run(l.name, func(t *testing.T) {
					defer func(outer *testing.T) { h.t = outer }(h.t)
					h.t = t
					restore := sync.OnceFunc(l.take(h))
					defer restore()
					if why := l.redundant[v]; why != "" {
						p.works(h, "without it: "+why)
					} else {
						p.breaks(h, l)
					}
					restore()
					p.works(h, "when it is back")
				})
			}
		})
	}
}

// works runs the chain and sees that all of it works.
func (p pattern) works(h *house, when string) {
	h.t.Helper()
	if broke, err := p.run(h); err != nil {
		h.t.Fatalf("%s: it broke at %q: %v\n%s", when, broke, err, h.explain(p.thing))
	}
	s := h.story(p.thing)
	if s.Broken != nil {
		h.t.Errorf("%s: it works, but strait explain says:\n%s", when, h.explain(p.thing))
	}
	// The first may be before the thing has a story; the last is what the run saw.
	for _, at := range p.steps[1 : len(p.steps)-1] {
		if !s.passed(at) {
			h.t.Errorf("%s: the story lacks the step %q:\n%s", when, at, h.explain(p.thing))
		}
	}
}

// breaks runs the chain and sees that the step of l breaks, none before it,
// and that strait explain names the link.
func (p pattern) breaks(h *house, l link) {
	h.t.Helper()
	broke, err := p.run(h)
	if err == nil {
		h.t.Fatalf("the chain works without it:\n%s", h.explain(p.thing))
	}
	// 1. What those see who use it.
	about, seen := p.thing, l.step.seen()
	if p.thing == thing && (l.step == assume || l.step == receive) {
		seen = answer
	}
	if broke != seen {
		h.t.Errorf("it broke at %q (%v), want %q", broke, err, seen)
	}
	// 2. What Strait knows: the broken link, and that all before it held.
	var b *decision
	if l.step == p.steps[0] {
		about, b = "", h.last() // there is no connection yet whose story it were
	} else {
		s := h.story(p.thing)
		b = s.Broken
		if b == nil {
			h.t.Fatalf("no link is broken, they say:\n%s", h.explain(p.thing))
		}
		for _, before := range p.steps[:slices.Index(p.steps, l.step)] {
			if before != wire && before != match && !s.passed(before) {
				h.t.Errorf("the step before it, %q, did not pass:\n%s", before, h.explain(p.thing))
			}
		}
	}
	if b.step() != l.step || b.Layer != l.layer {
		h.t.Errorf("broken is the step %q, by the layer %q; want %q, %q:\n%s", b.step(), b.Layer, l.step, l.layer, h.explain(about))
	}
	// 3. The failures that it leads to do not hide it.
	if last := h.last(); last.step() != l.step {
		h.t.Errorf("the last refusal is not this one, but %+v", last)
	}
	// 4. What a person reads.
	h.explains(about, []string{b.Operation, l.layer, l.document})
}
