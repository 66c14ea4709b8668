package dir

import (
	"context"
	"strings"

	"strait/object"
	"strait/state"
)

// List implements object.Store.
func (s *Store) List(ctx context.Context, bucket string, q object.Query) (page object.Page, err error) {
	if _, err := s.Bucket(ctx, bucket); err != nil {
		return page, err
	}
	w := walk{base: objectsOf(bucket), prefix: q.Prefix, delimiter: q.Delimiter, limit: pageSize(q.Limit)}
	w.after = q.After
	w.folded = w.fold(q.After) == q.After
	w.name = func(fact string) string { return fact[len(w.base):] }
	last, truncated, err := s.walk(ctx, w, func(f state.Fact, name string) error {
		if f.Key == "" {
			page.Prefixes = append(page.Prefixes, name)
			return nil
		}
		m, err := decodeManifest(f.Value)
		if err != nil {
			return damaged(err)
		}
		page.Objects = append(page.Objects, m.info(bucket, name))
		return nil
	})
	if err != nil {
		return object.Page{}, err
	}
	if truncated {
		page.Truncated, page.Next = true, w.name(last)
	}
	return page, nil
}

// Uploads implements object.Store. The facts are sorted by key, NUL and id:
// that is by key and age, except that a key which continues another one with
// a NUL may come before that one's uploads. Pages lose and repeat nothing.
func (s *Store) Uploads(ctx context.Context, bucket string, q object.UploadQuery) (page object.UploadPage, err error) {
	if _, err := s.Bucket(ctx, bucket); err != nil {
		return page, err
	}
	w := walk{base: uploadsOf(bucket), prefix: q.Prefix, delimiter: q.Delimiter, limit: pageSize(q.Limit)}
	switch {
	case q.AfterKey == "":
	case w.fold(q.AfterKey) == q.AfterKey:
		w.after, w.folded = q.AfterKey, true
	case q.AfterID == "":
		w.after = q.AfterKey + "\x00g" // behind every hex digit
	default:
		w.after = q.AfterKey + "\x00" + q.AfterID
	}
	w.name = func(fact string) string {
		_, key, _, _ := splitUploadKey(fact)
		return key
	}
	last, truncated, err := s.walk(ctx, w, func(f state.Fact, name string) error {
		if f.Key == "" {
			page.Prefixes = append(page.Prefixes, name)
			return nil
		}
		_, key, v, ok := splitUploadKey(f.Key)
		u, err := decodeUpload(f.Value)
		if err != nil || !ok {
			return damaged(errRecord)
		}
		page.Uploads = append(page.Uploads, u.public(bucket, key, v))
		return nil
	})
	if err != nil {
		return object.UploadPage{}, err
	}
	if truncated {
		page.Truncated = true
		if _, key, v, ok := splitUploadKey(last); ok {
			page.NextKey, page.NextID = key, v.String()
		} else { // a folded prefix
			page.NextKey = last[len(w.base):]
		}
	}
	return page, nil
}

func pageSize(limit int) int {
	if limit <= 0 || limit > object.MaxPage {
		return object.MaxPage
	}
	return limit
}

// A walk goes over sorted facts and folds names at a delimiter.
type walk struct {
	base, prefix string // of facts' keys; prefix is the part that counts for folding
	delimiter    string
	after        string                   // to begin behind, without base
	folded       bool                     // after stands for all that begins with it
	limit        int                      // of entries
	name         func(fact string) string // what is listed, of a fact's key
}

// fold returns the entry that name is folded into, or "" when it is not.
func (w *walk) fold(name string) string {
	rest, ok := strings.CutPrefix(name, w.prefix)
	if !ok || w.delimiter == "" {
		return ""
	}
	i := strings.Index(rest, w.delimiter)
	if i < 0 {
		return ""
	}
	return name[:len(w.prefix)+i+len(w.delimiter)]
}

// beyond follows every key that begins as it does: keys are valid UTF-8, which
// never holds this byte.
const beyond = "\xff"

// walk calls take for every entry, with the zero Fact for a folded one, and
// returns the key of the last one (base and prefix for a folded one) and
// whether there are more. Folded keys are jumped over, not read through.
func (s *Store) walk(ctx context.Context, w walk, take func(f state.Fact, name string) error) (last string, more bool, err error) {
	if len(w.prefix) > object.MaxKey {
		return "", false, nil
	}
	// What differs further back than the longest name makes no difference.
	const longest = object.MaxKey + 1 + 2*idSize
	w.after = w.after[:min(len(w.after), longest+1)]
	pos := w.base + w.after
	if w.after == "" {
		pos = ""
	} else if w.folded {
		pos += beyond
	}
	batch := w.limit + 1
	if w.delimiter != "" {
		batch = min(batch, 16)
	}
	var inside string // the folded entry that we are in
	for n := 0; ; {
		facts, err := s.facts.List(ctx, w.base+w.prefix, pos, batch)
		if err != nil {
			return "", false, err
		}
		jump := false
		for _, f := range facts {
			pos = f.Key
			name := w.name(f.Key)
			folded := w.fold(name)
			if folded != "" && folded == inside {
				pos, jump = w.base+folded+beyond, true
				break
			}
			if n == w.limit {
				return last, true, nil
			}
			n++
			if inside = folded; folded != "" {
				last, err = w.base+folded, take(state.Fact{}, folded)
			} else {
				last, err = f.Key, take(f, name)
			}
			if err != nil {
				return "", false, err
			}
		}
		switch {
		case jump: // folders lie here: read less ahead
			batch = max(batch/2, 4)
		case len(facts) < batch:
			return last, false, nil
		default:
			batch = min(batch*2, w.limit+1)
		}
	}
}
