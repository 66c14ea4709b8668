package power_test

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Scenario: the server is killed (kill -9) in the middle of uploads, publishes
// and changes of things and roles, and started again on the same directory,
// again and again. What was acknowledged in any life is there, nothing is
// visible in part, uploads that were open can be completed, and work goes on.
func TestKill(t *testing.T) {
	rounds, most := 4, 250
	if long() {
		rounds, most = 30, 1500
	}
	binary, data := real(t), filepath.Join(t.TempDir(), "data")
	h := newHistory()
	everyAck := func(*ack) bool { return true }
	p := start(t, binary, data)
	if err := h.prepare(t.Context(), newClient(p.addr, p.key, p.secret)); err != nil {
		t.Fatal(err)
	}
	key, secret := p.key, p.secret
	random := rand.New(rand.NewPCG(1, 2))
	var slowest time.Duration
	for round := range rounds {
		// 1. Work, until so many have been acknowledged that the server dies.
		before := h.acked.Load()
		h.reached = p.kill
		h.target.Store(before + 50 + int64(random.IntN(most)))
		c := newClient(p.addr, key, secret)
		err := h.run(t.Context(), c, round, 1_000_000)
		c.close()
		if h.acked.Load() < h.target.Load() {
			t.Fatalf("round %d: the work ended before the server: %v", round, err)
		}

		// 2. Start again, and compare.
		p = start(t, binary, data)
		slowest = max(slowest, p.took)
		c = newClient(p.addr, key, secret)
		problems, n := h.check(t.Context(), c, everyAck, true)
		c.close()
		t.Logf("round %d: killed after %d acknowledgements; ready again in %v; %d checked", round, h.acked.Load()-before, p.took.Round(time.Millisecond), n)
		if len(problems) > 0 {
			t.Fatalf("round %d: %d problems:\n%s", round, len(problems), strings.Join(problems[:min(10, len(problems))], "\n"))
		}
	}
	t.Logf("the slowest restart took %v", slowest.Round(time.Millisecond))
}
