// Package schedule keeps schedules and says when they are due: at a moment, at
// a rate, or by a cron expression, in a time zone, between two dates.
//
// A Schedule has an expression and targets. An Engine watches the clock it is
// given, writes down what is due before it is begun, and hands it to an
// Invoker, again after failures, as the target's Retry says. What was written
// down survives a restart; what fell due while nobody ran is made up for once
// (see Engine).
//
// The package knows time. It refuses to know what a target is, who may call it,
// and how a schedule looks on the wire.
//
// Begin with Engine in engine.go; expression.go reads what cron.go computes.
// The rules are those of lambda-runtime.md, section 8.
package schedule
