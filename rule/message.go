package rule

import (
	"context"
	"time"

	"strait"
)

// A Message is what was published, as a rule sees it.
type Message struct {
	Topic     string
	Payload   []byte // the engine keeps no reference to it after Accept returns
	ClientID  string // "" when the publisher is no MQTT client
	Principal string // strait.Principal.ID of the publisher; "" when there is none
	Trace     string
	Time      time.Time // when it was accepted; zero means now
	Hops      int       // how often rules have republished it
	// Properties are what an MQTT 5 publisher sent beside the payload, or nil.
	Properties *Properties
}

// An Invoker starts functions. It is called from many goroutines.
type Invoker interface {
	// Invoke asks for an asynchronous invocation of the function with payload,
	// in the name of rule, and returns when the invocation is durably queued.
	// rule is the rule as it stands now, which may be newer than the message.
	//
	// An error of kind Invalid, Denied, NotFound, TooLarge or Unsupported is
	// final; any other is tried again. The same invocation may be asked for
	// more than once, after a fault or a restart.
	Invoke(ctx context.Context, rule Rule, functionARN strait.ARN, payload []byte, trace string) error
}

// A Step is what became of a message at a rule.
type Step string

// Steps.
const (
	Matched    Step = "matched"     // topic and condition hold; the actions start
	WhereFalse Step = "where false" // the condition is false or Undefined; nothing runs
	Disabled   Step = "disabled"    // the topic matches, the rule is disabled
	NoSuchRule Step = "no such rule"
	Invoked    Step = "invoked" // the function's invocation is durably queued
	Done       Step = "done"    // another action is done
	Retrying   Step = "retrying"
	Failed     Step = "failed"  // an action, or making its document, failed for good
	Dropped    Step = "dropped" // not run: the journal is full, or the rule was deleted meanwhile
)

// An Event tells one step of a message's way through a rule, for explaining.
type Event struct {
	Trace    string
	Rule     string // the rule's name
	Topic    string // as published
	Step     Step
	Function strait.ARN // of Invoked, Retrying and Failed, where one is concerned
	Action   string     // the kind of action and what it is done to, likewise
	Err      error      // of Retrying, Failed and Dropped
}
