package authz

import "strait"

// A passage is that a thing got past a point of its chain.
type passage struct {
	thing    string
	action   strait.Action
	resource strait.ARN
}

// LastTrace returns the records of the latest request of a thing, oldest
// first: the trace in which it last did more than connect and subscribe, or
// broke in a way that it has not got past since; before them, how the
// connection of that request came about. It is empty when nothing is recorded.
func (r *Recorder) LastTrace(thing string) []*Record {
	all := r.Records()
	trace := lastTrace(all, thing)
	if trace == "" {
		return nil
	}
	// 1. The traces that it grew out of, the nearest first.
	wanted, grown := map[string]bool{trace: true}, []string{trace}
	for len(grown) > 0 && len(wanted) <= maxGrown {
		from := grown[0]
		grown = grown[1:]
		for _, rec := range all {
			if rec.Trace == from && rec.Thing == thing && rec.Parent != "" && !wanted[rec.Parent] {
				wanted[rec.Parent] = true
				grown = append(grown, rec.Parent)
			}
		}
	}
	// 2. Its own records whole, of the others the way here.
	var out []*Record
	for _, rec := range all {
		if rec.Trace == trace || wanted[rec.Trace] && !rec.Broken && (opening(rec) || rec.Action == "sts:AssumeRole") {
			out = append(out, rec)
		}
	}
	return out
}

// maxGrown bounds the traces that one is traced back to: a message, its
// connection, the AssumeRole behind that, and what that belonged to.
const maxGrown = 4

// lastTrace chooses the trace. A refused client that comes again and again
// begins a trace each time, and the latest may not have got as far as the
// refusal: so what is broken counts until it is got past.
func lastTrace(all []*Record, thing string) (trace string) {
	past := map[passage]bool{}
	for i := len(all) - 1; i >= 0; i-- {
		rec := all[i]
		if rec.Thing != thing {
			continue
		}
		if rec.Broken && !past[point(rec)] || !rec.Broken && !opening(rec) && !passive(rec) {
			return rec.Trace
		}
		if rec.Effect == "allow" {
			past[point(rec)] = true
		}
		if trace == "" {
			trace = rec.Trace
		}
	}
	return trace
}

// FirstBroken returns the first broken link of a thing's chain that it did not
// get past later on (as a function that is run again may), nil when there is none.
func FirstBroken(thing string, chain []*Record) (first *Record) {
	past := map[passage]bool{}
	for i := len(chain) - 1; i >= 0; i-- {
		rec := chain[i]
		switch {
		case rec.Effect == "allow":
			past[point(rec)] = true
		case passive(rec) && rec.Thing != thing:
			// Somebody else may not see the message; the thing's chain goes on.
		case rec.Broken && !past[point(rec)]:
			first = rec
		}
	}
	return first
}

// point is where in its chain a thing was.
func point(rec *Record) passage {
	if rec.Event != "" && (rec.Operation == "Connect" || rec.Operation == "Disconnect") {
		// Such as a certificate that is not active: over with the next Connect.
		return passage{thing: rec.Thing, action: "iot:Connect"}
	}
	if rec.Action == "iot:Connect" {
		return passage{thing: rec.Thing, action: rec.Action}
	}
	return passage{rec.Thing, rec.Action, rec.Resource}
}

// opening tells whether a record is what every connection begins with.
func opening(rec *Record) bool {
	return rec.Action == "iot:Connect" || rec.Action == "iot:Subscribe"
}

// passive tells whether a record is about what comes to a thing, not about
// what it does.
func passive(rec *Record) bool { return rec.Action == "iot:Receive" }
