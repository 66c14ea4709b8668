package shadow

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"strait"
	"strait/state"
)

// This file is how shadows, and the versions of deleted ones, lie in the store.

func noShadow(n Name) error {
	return strait.Errorf(strait.NotFound, "shadow", "No shadow exists with name: '%s'", n)
}

// load returns the document, nil when there is none.
func (e *Engine) load(n Name) (*document, state.Revision, error) {
	f, err := e.cfg.Store.Get(e.ctx, n.live())
	if errors.Is(err, state.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	v, err := decode(f.Value)
	if err != nil {
		return nil, 0, fmt.Errorf("the fact %q is damaged: %w", f.Key, err)
	}
	d := &document{}
	d.Desired, d.DesiredMeta = part(v, "Desired"), part(v, "DesiredMeta")
	d.Reported, d.ReportedMeta = part(v, "Reported"), part(v, "ReportedMeta")
	o, _ := v.(object)
	version, _ := o["Version"].(json.Number)
	if d.Version, err = version.Int64(); err != nil {
		return nil, 0, fmt.Errorf("the fact %q is damaged: %w", f.Key, err)
	}
	return d, f.Revision, nil
}

func part(v any, name string) object {
	o, _ := v.(object)
	p, _ := o[name].(object)
	return p
}

// A grave is what is remembered of a deleted shadow.
type grave struct {
	Version int64
	Deleted time.Time
}

// remembered is how long a new shadow continues the versions of a deleted one
// [DG Interacting with shadows].
const remembered = 48 * time.Hour

// buried returns the version at which a shadow was deleted, 0 for none.
func (e *Engine) buried(n Name, now time.Time) (int64, error) {
	f, err := e.cfg.Store.Get(e.ctx, n.gone())
	if errors.Is(err, state.ErrNotFound) {
		return 0, nil
	}
	var g grave
	if err == nil {
		err = json.Unmarshal(f.Value, &g)
	}
	if err != nil || now.Sub(g.Deleted) > remembered {
		return 0, err
	}
	return g.Version, nil
}

// update answers a request to update.
