package dir

import "sync"

// A group lets many callers share one costly act. A caller is served by an
// act that began after it had asked, so what it wrote before is covered.
type group struct {
	mu        sync.Mutex
	cur, next *flight
}

type flight struct {
	done chan struct{}
	err  error
}

// do returns the error of an act that began during the call. Acts of one
// group never overlap.
func (g *group) do(act func() error) error {
	g.mu.Lock()
	if f := g.next; f != nil { // someone else will do it
		g.mu.Unlock()
		<-f.done
		return f.err
	}
	f, before := &flight{done: make(chan struct{})}, g.cur
	g.next = f
	g.mu.Unlock()

	if before != nil {
		<-before.done
	}
	g.mu.Lock()
	g.cur, g.next = f, nil // from here on callers wait for the next act
	g.mu.Unlock()
	f.err = act()
	close(f.done)
	return f.err
}
