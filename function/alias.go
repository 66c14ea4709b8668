package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"strait"
	"strait/state"
)

const (
	aliasKey   = "function/a/" // + name + "/" + alias
	maxAliases = 1000          // of a function; a guard of our own
)

var aliasName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// An Alias is a name for a version.
type Alias struct {
	Function    string
	Name        string
	Version     string // a number, or Latest
	Description string
	Revision    string
}

func (e *Engine) noAlias(name, alias string) error {
	return strait.Errorf(strait.NotFound, "alias", "Cannot find alias arn: %.500s", e.cfg.Place.Lambda(name+":"+alias))
}

// Alias returns one. NotFound "alias".
func (e *Engine) Alias(ctx context.Context, name, alias string) (Alias, error) {
	a, _, err := e.alias(ctx, name, alias)
	return a, err
}

func (e *Engine) alias(ctx context.Context, name, alias string) (Alias, state.Revision, error) {
	if checkName(name) != nil || !aliasName.MatchString(alias) {
		return Alias{}, 0, e.noAlias(name, alias)
	}
	fact, err := e.cfg.Store.Get(ctx, aliasKey+name+"/"+alias)
	if errors.Is(err, state.ErrNotFound) {
		return Alias{}, 0, e.noAlias(name, alias)
	}
	if err != nil {
		return Alias{}, 0, fmt.Errorf("get alias %s of function %s: %w", alias, name, err)
	}
	var a Alias
	if err := json.Unmarshal(fact.Value, &a); err != nil {
		return a, 0, fmt.Errorf("read the fact %s: %w", fact.Key, err)
	}
	return a, fact.Revision, nil
}

// Aliases returns all of a function, sorted by name.
func (e *Engine) Aliases(ctx context.Context, name string) ([]Alias, error) {
	if _, err := e.Get(ctx, name); err != nil {
		return nil, err
	}
	facts, err := e.cfg.Store.List(ctx, aliasKey+name+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list aliases of function %s: %w", name, err)
	}
	all := make([]Alias, len(facts))
	for i, fact := range facts {
		if err := json.Unmarshal(fact.Value, &all[i]); err != nil {
			return nil, fmt.Errorf("read the fact %s: %w", fact.Key, err)
		}
	}
	return all, nil
}

// CreateAlias makes one. Exists "alias".
func (e *Engine) CreateAlias(ctx context.Context, a Alias) (Alias, error) {
	if !aliasName.MatchString(a.Name) || isDigits(a.Name) {
		return Alias{}, strait.Errorf(strait.Invalid, "name", "1 validation error detected: Value '%.130s' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)", a.Name)
	}
	if err := e.checkAlias(ctx, a); err != nil {
		return Alias{}, err
	}
	if all, err := e.Aliases(ctx, a.Function); err != nil || len(all) >= maxAliases {
		if err == nil {
			err = strait.Errorf(strait.Limit, "alias", "A function has at most %d aliases here; delete some.", maxAliases)
		}
		return Alias{}, err
	}
	a.Revision = newID()
	_, err := e.cfg.Store.Apply(ctx, a.write(state.Absent()))
	if errors.Is(err, state.ErrConflict) {
		return Alias{}, strait.Errorf(strait.Exists, "alias", "Alias already exists: %s", e.cfg.Place.Lambda(a.Function+":"+a.Name))
	}
	if err != nil {
		return Alias{}, fmt.Errorf("create alias %s of function %s: %w", a.Name, a.Function, err)
	}
	return a, nil
}

func isDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func (e *Engine) checkAlias(ctx context.Context, a Alias) error {
	if len(a.Description) > 256 {
		return strait.Errorf(strait.Invalid, "description", "a description has at most 256 bytes")
	}
	if a.Version != Latest && !isNumber(a.Version) {
		return strait.Errorf(strait.Invalid, "version", "an alias names a version: a number, or $LATEST")
	}
	_, err := e.Resolve(ctx, a.Function, a.Version)
	return err
}

func (a Alias) write(expect state.Expect) state.Write {
	data, _ := json.Marshal(a) // strings cannot fail
	return state.Write{Key: aliasKey + a.Function + "/" + a.Name, Value: data, Expect: expect}
}

// UpdateAlias lets change alter the version and the description; revision is as
// in UpdateCode.
func (e *Engine) UpdateAlias(ctx context.Context, name, alias, revision string, change func(*Alias)) (Alias, error) {
	for range tries {
		a, at, err := e.alias(ctx, name, alias)
		if err != nil {
			return Alias{}, err
		}
		if revision != "" && revision != a.Revision {
			return Alias{}, staleRevision()
		}
		change(&a)
		a.Function, a.Name, a.Revision = name, alias, newID()
		if err := e.checkAlias(ctx, a); err != nil {
			return Alias{}, err
		}
		_, err = e.cfg.Store.Apply(ctx, a.write(state.At(at)))
		if errors.Is(err, state.ErrConflict) {
			continue
		}
		if err != nil {
			return Alias{}, fmt.Errorf("update alias %s of function %s: %w", alias, name, err)
		}
		return a, nil
	}
	return Alias{}, busy(name)
}

// DeleteAlias forgets one; it is no error if there is none, as on AWS.
func (e *Engine) DeleteAlias(ctx context.Context, name, alias string) error {
	if _, err := e.Get(ctx, name); err != nil {
		return err
	}
	if !aliasName.MatchString(alias) {
		return nil
	}
	_, err := e.cfg.Store.Apply(ctx, state.Write{Key: aliasKey + name + "/" + alias, Delete: true}, state.Write{Key: asyncKey + name + "/" + alias, Delete: true})
	if err != nil {
		return fmt.Errorf("delete alias %s of function %s: %w", alias, name, err)
	}
	return nil
}
