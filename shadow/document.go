package shadow

import (
	"encoding/json"
	"maps"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// A document is a shadow: two sections, the times of what is in them, and the
// version. Its objects are shared with those that were told of it and are
// never changed.
type document struct {
	Desired      object `json:",omitempty"`
	Reported     object `json:",omitempty"`
	DesiredMeta  object `json:",omitempty"`
	ReportedMeta object `json:",omitempty"`
	Version      int64
}

// apply returns what c makes of d at now, and the times of what it touched.
func (d *document) apply(c *change, now int64) (next *document, touched object) {
	next = &document{Desired: d.Desired, Reported: d.Reported, DesiredMeta: d.DesiredMeta, ReportedMeta: d.ReportedMeta, Version: d.Version + 1}
	touched = object{}
	one := func(name string, s section, state, meta *object) {
		var times object
		switch {
		case !s.given:
			return
		case s.remove:
			*state, *meta = nil, nil
			return
		}
		*state, *meta, times = merge(*state, *meta, s.set, now)
		touched[name] = times
	}
	one("desired", c.desired, &next.Desired, &next.DesiredMeta)
	one("reported", c.reported, &next.Reported, &next.ReportedMeta)
	return next, touched
}

// merge puts set into old: objects are merged, all else is replaced whole, null
// removes, and an object without members is not kept. It returns the object,
// its times, and the times of what was set. A value that is set to what it was
// has a new time, too (unverified).
func merge(old, oldMeta, set object, now int64) (out, meta, touched object) {
	out, meta, touched = maps.Clone(old), maps.Clone(oldMeta), object{}
	if out == nil {
		out, meta = object{}, object{}
	}
	for name, v := range set {
		switch v := v.(type) {
		case nil:
			delete(out, name)
			delete(meta, name)
		case object:
			was, _ := out[name].(object)
			var wasMeta object
			if was != nil {
				wasMeta, _ = meta[name].(object)
			}
			inner, innerMeta, innerTouched := merge(was, wasMeta, v, now)
			if len(inner) == 0 {
				delete(out, name)
				delete(meta, name)
				continue
			}
			out[name], meta[name] = inner, innerMeta
			if len(innerTouched) > 0 {
				touched[name] = innerTouched
			}
		default:
			out[name], meta[name] = v, stamp(v, now)
			touched[name] = meta[name]
		}
	}
	return out, meta, touched
}

// stamp is the time of a value: of each element of an array, of each member of
// an object in one.
func stamp(v any, now int64) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for name, e := range v {
			out[name] = stamp(e, now)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = stamp(e, now)
		}
		return out
	}
	return object{"timestamp": json.Number(strconv.FormatInt(now, 10))}
}

// delta returns what is desired and not reported so, with its times; it is
// empty when there is no difference.
func delta(desired, reported, meta object) (diff, times object) {
	diff, times = object{}, object{}
	for name, want := range desired {
		have, ok := reported[name]
		wanted, isObject := want.(object)
		had, wasObject := have.(object)
		if ok && isObject && wasObject {
			inner, _ := meta[name].(object)
			if d, t := delta(wanted, had, inner); len(d) > 0 {
				diff[name], times[name] = d, t
			}
			continue
		}
		if !ok || !equal(want, have) {
			diff[name], times[name] = want, meta[name]
		}
	}
	return diff, times
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case object:
		b, ok := b.(object)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, v := range a {
			w, ok := b[name]
			if !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || sameNumber(string(a), string(b)))
	}
	return a == b
}

// sameNumber compares as numbers: 1, 1.0 and 10e-1 are the same. No number is
// ever written out, so that 1e999999999 costs nothing.
func sameNumber(a, b string) bool {
	an, ad, ae, aok := canonical(a)
	bn, bd, be, bok := canonical(b)
	return aok && bok && an == bn && ad == bd && ae.Cmp(be) == 0
}

// canonical splits a JSON number into its sign, its digits without zeros
// around them, and the exponent of 0.DIGITS.
func canonical(s string) (negative bool, digits string, exponent *big.Int, ok bool) {
	s, negative = strings.CutPrefix(s, "-")
	mantissa, exp, _ := strings.Cut(strings.ToLower(s), "e")
	exponent = new(big.Int)
	if exp != "" {
		if _, ok := exponent.SetString(strings.TrimPrefix(exp, "+"), 10); !ok {
			return false, "", nil, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent.Add(exponent, big.NewInt(int64(len(whole))))
	digits = strings.TrimLeft(whole+fraction, "0")
	exponent.Sub(exponent, big.NewInt(int64(len(whole)+len(fraction)-len(digits))))
	digits = strings.TrimRight(digits, "0")
	if digits == "" { // zero, which has neither sign nor exponent
		return false, "", new(big.Int), true
	}
	return negative, digits, exponent, true
}

// sections is state or metadata of d; what is empty is left out.
func sections(desired, reported object) object {
	out := object{}
	if len(desired) > 0 {
		out["desired"] = desired
	}
	if len(reported) > 0 {
		out["reported"] = reported
	}
	return out
}

// size is what counts against the limit.
func (d *document) size() int { return len(encode(sections(d.Desired, d.Reported))) }

// whole is the document as a get has it.
func (d *document) whole(token string, now time.Time) object {
	state, meta := sections(d.Desired, d.Reported), sections(d.DesiredMeta, d.ReportedMeta)
	if diff, times := delta(d.Desired, d.Reported, d.DesiredMeta); len(diff) > 0 {
		state["delta"], meta["delta"] = diff, times
	}
	return tokened(object{"state": state, "metadata": meta, "version": d.Version, "timestamp": now.Unix()}, token)
}

func tokened(o object, token string) object {
	if token != "" {
		o["clientToken"] = token
	}
	return o
}

// moment is the document in a message that tells of two of them.
func (d *document) moment() any {
	if d.Version == 0 {
		return nil // there was none; how AWS says so is not documented
	}
	return object{"state": sections(d.Desired, d.Reported), "metadata": sections(d.DesiredMeta, d.ReportedMeta), "version": d.Version}
}
