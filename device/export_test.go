package device

import (
	"context"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// For tests of what cannot be seen from outside.
var (
	CombineCRC   = combineCRC
	NewCRC       = newCRC
	Matches      = matches
	ParseJournal = parseJournal
	AppendRecord = appendRecord
)

type (
	Past     = past
	Begun    = begun
	PartDone = partDone
	Record   = record
)

// Stream is a WebSocket as Paho sees it.
func Stream(c *websocket.Conn) net.Conn { return &socketConn{Conn: c} }

// OpenJournal holds a journal as another process would.
func OpenJournal(path string) (interface{ Close() error }, error) {
	j, err := openJournal(path)
	if err != nil {
		return nil, err
	}
	return j.f, nil
}

// ReadReply reads an answer as a Grant of thing.
func ReadReply(data []byte) (parts [3]string, refused bool, err error) {
	r, err := readReply(data)
	return [3]string{r.AccessKeyID, r.SecretAccessKey, r.SessionToken}, r.Error != nil, err
}

// Plan is a plan for a file of size.
type Plan struct{ p *plan }

func NewPlan(size, want int64) Plan                  { return Plan{newPlan(size, want)} }
func (p Plan) Resume(done []PartDone) bool           { return p.p.resume(done) }
func (p Plan) Take() (PartDone, bool)                { return p.p.take() }
func (p Plan) Finish(d PartDone, took time.Duration) { p.p.finish(d, took) }
func (p Plan) Sent() int64                           { return p.p.sent() }
func (p Plan) Pieces() (out []PartDone) {
	for _, x := range p.p.pieces {
		out = append(out, x.partDone)
	}
	return out
}

// Gate is how many parts are under way.
type Gate struct{ g *gate }

func NewGate(runs int) Gate                    { return Gate{newGate(runs)} }
func (g Gate) Enter(ctx context.Context) error { return g.g.enter(ctx) }
func (g Gate) Leave(well bool)                 { g.g.leave(well) }
func (g Gate) Failed()                         { g.g.failed() }
func (g Gate) Room() bool {
	g.g.mu.Lock()
	defer g.g.mu.Unlock()
	return g.g.in < g.g.limit
}
