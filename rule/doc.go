// Package rule is the topic rules engine: a rule chooses messages by a topic
// filter and a condition, makes a new document of each, and hands it to its
// actions. It holds the rules, the SQL they are written in (Parse), and a
// journal of runs that have been accepted and not yet handed over.
//
// It knows topics, not certificates, policies or brokers: whoever calls Accept
// has already decided that the message may be published, and whether an
// action is allowed is decided behind the Invoker. It knows no HTTP shapes
// either; Rule.Raw carries what a caller sent beside the words known here.
//
// Begin with Engine.Accept, then run.go (how a run is carried out and made
// safe) and sql.go (what the SQL offers).
//
// The journal belongs to one engine: two engines on one store would both
// replay the same runs.
package rule
