package function

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"strait"
	"strait/state"
)

// Latest is the version of a function that can be changed.
const Latest = "$LATEST"

const (
	versionKey  = "function/v/" // + name + "/" + number, ten digits: a Function
	numberKey   = "function/n/" // + name: the number of the last version, which outlives the function
	maxVersions = 1000          // of a function; a guard of our own
)

// version is what f is called among its versions.
func (f *Function) version() string {
	if f.Version == "" {
		return Latest
	}
	return f.Version
}

// digest tells two states of a function apart, as far as versions keep them.
func (f *Function) digest() string {
	kept := []any{f.Role, f.Runtime, f.Handler, f.Description, f.Timeout, f.MemorySize, f.Environment, f.DeadLetter, f.CodeSHA256}
	if f.Architecture != "" {
		kept = append(kept, f.Architecture)
	}
	data, _ := json.Marshal(kept) // cannot fail
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// Resolve returns what a qualifier names: the function itself ("" and Latest),
// a version by its number, or the version of an alias. NotFound "function".
func (e *Engine) Resolve(ctx context.Context, name, qualifier string) (Function, error) {
	f, err := e.Get(ctx, name)
	if err != nil || qualifier == "" || qualifier == Latest {
		return f, err
	}
	number := qualifier
	if !isNumber(qualifier) {
		a, err := e.Alias(ctx, name, qualifier)
		if err != nil {
			return Function{}, e.notFound(name + ":" + qualifier)
		}
		number = a.Version
	}
	if number == Latest {
		return f, nil
	}
	v, err := e.getVersion(ctx, name, number)
	if strait.KindOf(err) == strait.NotFound && err != nil {
		return Function{}, e.notFound(name + ":" + qualifier)
	}
	// What belongs to the function and not to a version of it.
	v.Reserved, v.Tags = f.Reserved, f.Tags
	return v, err
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 10 && strings.Trim(s, "0123456789") == "" && s[0] != '0'
}

func versionFact(name, number string) string {
	return fmt.Sprintf("%s%s/%010s", versionKey, name, number)
}

func (e *Engine) getVersion(ctx context.Context, name, number string) (Function, error) {
	if checkName(name) != nil || !isNumber(number) {
		return Function{}, e.notFound(name + ":" + number)
	}
	fact, err := e.cfg.Store.Get(ctx, versionFact(name, number))
	if errors.Is(err, state.ErrNotFound) {
		return Function{}, e.notFound(name + ":" + number)
	}
	if err != nil {
		return Function{}, fmt.Errorf("get version %s of function %s: %w", number, name, err)
	}
	return readFunction(fact)
}

// Publish keeps the function as it is now under the next number, which is never
// used again, not even after the function was deleted. When nothing changed
// since the last version that one is returned. sha and revision, unless "", are
// what the function must have; description, unless "", is the version's own.
func (e *Engine) Publish(ctx context.Context, name, description, sha, revision string) (Function, error) {
	if len(description) > 256 {
		return Function{}, strait.Errorf(strait.Invalid, "description", "a description has at most 256 bytes")
	}
	for range tries {
		f, at, err := e.get(ctx, name)
		if err != nil {
			return Function{}, err
		}
		if revision != "" && revision != f.Revision {
			return Function{}, staleRevision()
		}
		if sha != "" && sha != f.CodeSHA256 {
			return Function{}, strait.Errorf(strait.Invalid, "code", "CodeSHA256 (%.100s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", sha, f.CodeSHA256)
		}
		if f.Published == f.digest() {
			if v, err := e.getVersion(ctx, name, strconv.Itoa(f.LastVersion)); err == nil {
				return v, nil
			}
		}
		v, err := e.publish(ctx, f, at, description)
		if errors.Is(err, state.ErrConflict) {
			continue
		}
		return v, err
	}
	return Function{}, busy(name)
}

func (e *Engine) publish(ctx context.Context, f Function, at state.Revision, description string) (Function, error) {
	all, err := e.Versions(ctx, f.Name)
	if err != nil {
		return Function{}, err
	}
	if len(all) > maxVersions {
		return Function{}, strait.Errorf(strait.Limit, "versions", "A function has at most %d versions here; delete some.", maxVersions)
	}
	f.LastVersion++
	f.Published = f.digest()
	v := f
	v.Version, v.Modified, v.Revision = strconv.Itoa(f.LastVersion), e.cfg.Now().UTC(), newID()
	v.Tags, v.Reserved = nil, nil
	if description != "" {
		v.Description = description
	}
	w, err := f.write(state.At(at))
	if err != nil {
		return Function{}, err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return Function{}, err
	}
	_, err = e.cfg.Store.Apply(ctx, w,
		state.Write{Key: versionFact(f.Name, v.Version), Value: data, Expect: state.Absent()},
		state.Write{Key: numberKey + f.Name, Value: []byte(v.Version)})
	if err != nil {
		return Function{}, fmt.Errorf("publish function %s: %w", f.Name, err)
	}
	return v, nil
}

// lastNumber is the number of the last version that a function of this name had.
func (e *Engine) lastNumber(ctx context.Context, name string) (int, error) {
	fact, err := e.cfg.Store.Get(ctx, numberKey+name)
	if errors.Is(err, state.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(fact.Value))
}

// Versions returns the function itself and then its versions, oldest first.
func (e *Engine) Versions(ctx context.Context, name string) ([]Function, error) {
	f, err := e.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	facts, err := e.cfg.Store.List(ctx, versionKey+name+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list versions of function %s: %w", name, err)
	}
	all := []Function{f}
	for _, fact := range facts {
		v, err := readFunction(fact)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// DeleteVersion forgets a version, which no alias may name.
func (e *Engine) DeleteVersion(ctx context.Context, name, number string) error {
	if _, err := e.Get(ctx, name); err != nil {
		return err
	}
	v, err := e.getVersion(ctx, name, number)
	if err != nil {
		return err
	}
	aliases, err := e.Aliases(ctx, name)
	if err != nil {
		return err
	}
	for _, a := range aliases {
		if a.Version == number {
			return strait.Errorf(strait.Conflict, "version", "Version %s of the function %s cannot be deleted: the alias %s names it.", number, name, a.Name)
		}
	}
	if _, err := e.cfg.Store.Apply(ctx, state.Write{Key: versionFact(name, number), Delete: true}, state.Write{Key: asyncKey + name + "/" + number, Delete: true}); err != nil {
		return fmt.Errorf("delete version %s of function %s: %w", number, name, err)
	}
	e.pool(name).retire(number)
	return e.dropCode(ctx, name, v.CodeSHA256)
}

// dropCode lets go of what no version of any function needs.
func (e *Engine) dropCode(ctx context.Context, name, sha string) error {
	all, err := e.Versions(ctx, name)
	if err != nil && strait.KindOf(err) != strait.NotFound {
		return err
	}
	e.codes.forget(name, func(sha string) bool {
		return slices.ContainsFunc(all, func(f Function) bool { return f.CodeSHA256 == sha })
	})
	e.dropZip(ctx, sha)
	return nil
}

// inUse are the zips that are named by a function or a version, by file.
func (e *Engine) inUse(ctx context.Context) (map[string]bool, error) {
	named := map[string]bool{}
	for _, prefix := range []string{functionKey, versionKey} {
		facts, err := e.cfg.Store.List(ctx, prefix, "", 0)
		if err != nil {
			return nil, err
		}
		for _, fact := range facts {
			f, err := readFunction(fact)
			if err != nil {
				return nil, err
			}
			named[e.zipFile(f.CodeSHA256)] = true
		}
	}
	return named, nil
}

func staleRevision() error {
	return strait.Errorf(strait.Precondition, "revision", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
}

func busy(name string) error {
	return strait.Errorf(strait.Conflict, "function", "the function %s is being updated by others; try again", name)
}

func clone(f Function) Function {
	f.Environment, f.Tags = maps.Clone(f.Environment), maps.Clone(f.Tags)
	return f
}
