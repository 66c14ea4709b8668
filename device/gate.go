package device

import (
	"context"
	"sync"
)

// A gate bounds how many parts are under way, adapted to the link: twice as
// many after each round that went well, until the first failure; then half as
// many after a failure, and one more after a round.
type gate struct {
	mu    sync.Mutex
	free  *sync.Cond
	limit int
	most  int
	in    int
	well  int // parts since limit last changed
	hurt  bool
}

const (
	firstRuns = 4
	mostRuns  = 8
)

// newGate adapts between 1 and mostRuns; with runs > 0 it lets as many in always.
func newGate(runs int) *gate {
	g := &gate{limit: firstRuns, most: mostRuns}
	if runs > 0 {
		g.limit, g.most = runs, 0
	}
	g.free = sync.NewCond(&g.mu)
	return g
}

// enter waits for room; it fails when ctx ends.
func (g *gate) enter(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.free.Broadcast()
	})
	defer stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.in >= g.limit && ctx.Err() == nil {
		g.free.Wait()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	g.in++
	return nil
}

// leave ends a part.
func (g *gate) leave(well bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in--
	if well {
		if g.well++; g.well >= g.limit && g.limit < g.most {
			if g.well = 0; g.hurt {
				g.limit++
			} else {
				g.limit = min(2*g.limit, g.most)
			}
		}
	}
	g.free.Broadcast()
}

// failed is called when a request failed.
func (g *gate) failed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.most > 0 {
		g.limit, g.well, g.hurt = max(1, g.limit/2), 0, true
	}
}
