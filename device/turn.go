package device

import (
	"context"
	"os"
	"time"

	"strait"
)

// turnPoll is how often it is tried whether it is our turn.
const turnPoll = 20 * time.Millisecond

// turn waits until no other program of this machine is connected with the same
// key; see Config.TakeTurns. The lock is on the key's file itself, because
// whoever connects under this name has it open anyway: there is no other file
// to agree about, and the lock ends with the process.
func (c *Client) turn(ctx context.Context) (leave func(), err error) {
	if !c.cfg.TakeTurns || c.cfg.KeyFile == "" {
		return func() {}, nil
	}
	f, err := os.Open(c.cfg.KeyFile)
	if err != nil {
		return nil, strait.Errorf(strait.Invalid, "key", "read the key: %w", err)
	}
	tick := time.NewTicker(turnPoll)
	defer tick.Stop()
	for {
		taken, err := tryLock(f)
		if !taken && err == nil {
			return func() { f.Close() }, nil
		}
		if err != nil {
			// A file system without locks: then the programs take no turns.
			c.cfg.Log.Debug("no turns are taken: the key's file cannot be locked", "file", c.cfg.KeyFile, "error", err)
			f.Close()
			return func() {}, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.Close()
			return nil, strait.Errorf(strait.Conflict, "client id", "connect as client %s: another program of this machine is connected with %s, and two of one name would end each other's connection", c.cfg.ClientID, c.cfg.KeyFile)
		}
	}
}
