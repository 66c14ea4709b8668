package api

import (
	"log/slog"
	"sync"
	"time"

	"strait"
	"strait/authz"
	"strait/broker"
	"strait/identity"
	"strait/policy"
	"strait/rule"
	"strait/shadow"
)

// A messageRow is one row of the table that MQTT and HTTP publishing share:
// what is done, and the kind of resource that it is done to.
type messageRow struct {
	name     string
	action   strait.Action
	resource string // prefix of the resource in the ARN
}

// The rows of MQTT (iot-policies.md, section 3).
var (
	rowConnect       = messageRow{"Connect", "iot:Connect", "client/"}
	rowPublish       = messageRow{"Publish", "iot:Publish", "topic/"}
	rowRetainPublish = messageRow{"RetainPublish", "iot:RetainPublish", "topic/"}
	rowSubscribe     = messageRow{"Subscribe", "iot:Subscribe", "topicfilter/"}
	rowReceive       = messageRow{"Receive", "iot:Receive", "topic/"}
)

func (r messageRow) arn(p strait.Place, name string) strait.ARN { return p.IoT(r.resource + name) }

// MQTT is the part of the corridor that connections walk.
type MQTT struct {
	Directory  *identity.Directory
	Authorizer *authz.Authorizer
	Broker     *broker.Broker
	Rules      *rule.Engine
	Shadows    *shadow.Engine
	// Provisioner serves devices that come for the first time.
	Provisioner *Provisioner
	Now         func() time.Time
	Log         *slog.Logger

	Meters *Meters // nil: nothing is timed
	Quotas bool    // AWS's rates hold (quota.go), and one CONNECT a second for each client id

	mu       sync.Mutex
	live     map[string]*Connection // by client id
	watching bool                   // a goroutine looks at their deadlines
	presence map[string]*presence   // by client id
	sweepAt  int
	met      map[*Connection]bool // whose meters count
	meter    meter                // of those that have left
	quotas   quotas
	managed  tally // operations of the connection management API
}

// A Connection is one admitted client: it owns its Guard and its session, and
// its methods are the only way in and out.
type Connection struct {
	m       *MQTT
	guard   *authz.Guard
	session *broker.Session
	trace   string
	v5      bool
	id      string // the session identifier of lifecycle events
	version int    // and the version number
	once    sync.Once

	shadows  inFlight
	passport *passport

	noted map[string]bool // topics of which it is recorded that no rule takes them

	// The last topic each way and its ARN: most clients use few. Each is used by
	// one goroutine at a time.
	publishes, receives spelled

	meter              meter
	published, fetched uint // each used by one goroutine
}

// A spelled is a topic and its ARN.
type spelled struct {
	topic string
	arn   strait.ARN
}

// of returns the ARN of topic, the one that was made last if it is the same.
func (n *spelled) of(row messageRow, p strait.Place, topic string) strait.ARN {
	if n.topic != topic || topic == "" {
		*n = spelled{topic, row.arn(p, topic)}
	}
	return n.arn
}

func (m *MQTT) check(g *authz.Guard, row messageRow, name, trace string, traced bool, x policy.Context) error {
	return g.Check(row.name, row.action, row.arn(m.Directory.Place(), name), trace, traced, x)
}

// mayPublish and mayReceive are asked for every message; they remember how the
// topic is spelled as a resource.
func (c *Connection) mayPublish(topic, trace string, traced bool) error {
	return c.guard.Check(rowPublish.name, rowPublish.action, c.publishes.of(rowPublish, c.m.Directory.Place(), topic), trace, traced, nil)
}

func (c *Connection) mayReceive(topic, trace string, traced bool) error {
	return c.guard.Check(rowReceive.name, rowReceive.action, c.receives.of(rowReceive, c.m.Directory.Place(), topic), trace, traced, nil)
}
