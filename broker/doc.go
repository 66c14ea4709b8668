// Package broker is the engine of publish and subscribe: topics, sessions and
// what is queued for them, retained messages, and wills. It follows MQTT 3.1.1
// as AWS IoT Core offers it: QoS 0 and 1, "a/#" does not match "a", retained
// messages come for exact filters only, a persistent session lives one hour
// after its client has gone.
//
// The package knows topics and client ids. It refuses to know certificates,
// policies and the bytes of MQTT: whoever calls it has asked already whether
// the caller may publish or subscribe, and is asked back, message by message,
// whether a session may receive (see Session.Next).
//
// Its nouns: a Message is published; a Session is one connection of one client
// id; a mailbox is what is kept for a client id (subscriptions and a queue) and
// outlives the connection when the session is persistent; the tree finds the
// mailboxes for a topic; the journal makes changes durable in a state.Store,
// in the order in which they were made, many at once.
//
// Begin with Broker.Publish, then mailbox and Session.Next.
package broker
