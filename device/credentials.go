package device

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"strait"
)

// CredentialsOptions narrow what is asked for. The zero value asks for
// whatever the thing gets.
type CredentialsOptions struct {
	// Purpose narrows to one more level below the thing's prefix.
	Purpose string
	// Duration is how long the credentials shall live, 15 minutes to one
	// hour, whole seconds; zero leaves it to the function.
	Duration time.Duration
	// Timeout bounds the wait for an answer; 30 s when zero.
	Timeout time.Duration
}

// A Grant is what the device was given: credentials, and what for. What the
// function did not say is empty, but for Prefix, which then is "<thing>/".
type Grant struct {
	strait.Credentials
	Bucket   string
	Prefix   string // ends with a slash
	Region   string
	Endpoint string // of S3; "": AWS's own

	// doubtful is an answer that does not prove which request it belongs to:
	// a persistent session may have replayed an old one.
	doubtful bool
	nth      int // that was kept
}

const (
	defaultWait = 30 * time.Second
	// early is how long before their end credentials are replaced, if they
	// live three times as long.
	early = 5 * time.Minute
	// unknownLife is assumed when the answer names no expiration: what STS
	// gives at least.
	unknownLife = 15 * time.Minute
	// againAfter is the pause before a temporary failure is asked about again.
	againAfter = 2 * time.Second
)

// Credentials gets credentials over the connection: it asks on
// "<thing>/token/req" and is answered on "<thing>/token/res". It keeps them
// and asks anew before they expire. It is an aws.CredentialsProvider, so that
// an SDK's client may hold it for as long as it likes. Options that are equal
// give the same Credentials.
func (c *Client) Credentials(o CredentialsOptions) *Credentials {
	if o.Timeout <= 0 {
		o.Timeout = defaultWait
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.vended[o]
	if p == nil {
		p = newCredentials(&c.cfg, c.clock, func(ctx context.Context) (Grant, error) { return c.ask(ctx, o) })
		c.vended[o] = p
	}
	return p
}

// Credentials are kept fresh; see Client.Credentials.
type Credentials struct {
	ask   func(context.Context) (Grant, error)
	clock *clock
	log   *slog.Logger
	turn  chan struct{} // holds one value while someone asks

	mu    sync.Mutex
	grant Grant
	has   bool
	came  time.Time     // by the device's own clock
	early time.Duration // before the end
	count int
}

func newCredentials(cfg *Config, k *clock, ask func(context.Context) (Grant, error)) *Credentials {
	return &Credentials{ask: ask, clock: k, log: cfg.Log, turn: make(chan struct{}, 1)}
}

var _ aws.CredentialsProvider = (*Credentials)(nil)

// Retrieve is aws.CredentialsProvider.
func (p *Credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	g, err := p.Grant(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	return aws.Credentials{
		AccessKeyID: g.AccessKeyID, SecretAccessKey: g.SecretAccessKey, SessionToken: g.SessionToken,
		Source: "strait/device", CanExpire: true, Expires: g.Expiration,
	}, nil
}

// Grant returns the credentials that are kept, or asks for new ones when they
// are about to expire. When that fails, those that are still good are returned.
// Denied is a refusal; Unavailable means that no answer came.
func (p *Credentials) Grant(ctx context.Context) (Grant, error) {
	if g, fresh, _ := p.kept(); fresh {
		return g, nil
	}
	// One asks, the others wait for what it gets.
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return Grant{}, ctx.Err()
	}
	old, fresh, good := p.kept()
	if fresh {
		return old, nil
	}
	g, err := p.ask(ctx)
	if err != nil {
		if good {
			p.log.Warn("credentials could not be renewed; the old ones are still good", "error", err)
			return old, nil
		}
		return Grant{}, err
	}
	return p.keep(g), nil
}

// Invalidate throws away the kept credentials if their key is accessKeyID,
// because a server would not have them any more.
func (p *Credentials) Invalidate(accessKeyID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.grant.AccessKeyID == accessKeyID {
		p.grant, p.has = Grant{}, false
	}
}

func (p *Credentials) kept() (g Grant, fresh, good bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.left()
	return p.grant, p.has && left > p.early, p.has && left > 0
}

// longest is how long temporary credentials live at most.
const longest = 12 * time.Hour

// left is how long the kept credentials still live. Those that came already
// dead, or for a day, were judged by a clock that is wrong and not corrected so
// far: then they are trusted for as long as STS gives at least.
func (p *Credentials) left() time.Duration {
	left := p.grant.Expiration.Sub(p.clock.Now())
	age := p.clock.now().Sub(p.came)
	if whole := left + age; whole <= 0 || whole > longest {
		return unknownLife - age
	}
	return left
}

func (p *Credentials) keep(g Grant) Grant {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	g.nth = p.count
	p.grant, p.has, p.came = g, true, p.clock.now()
	p.early = min(early, p.left()/3)
	return g
}

// request is what the device publishes; the name is not in it: it comes from
// the topic.
type request struct {
	ClientToken string `json:"clientToken"`
	Purpose     string `json:"purpose,omitempty"`
	Duration    int    `json:"duration,omitempty"` // seconds
}

// answerer hands replies to the request that waits. Guarded by Client.mu.
type answerer struct {
	subscribed bool
	tokens     []string   // of the requests for what is waited for, the last one last
	ch         chan reply // nil when none waits
}

// takes tells whether r is an answer that is waited for. Credentials that an
// earlier try asked for are good: a function that failed is often run again by
// its queue, and may succeed then. A refusal must be of the last try: that queue
// repeats refusals, too. Without a token whatever comes after the request counts.
func (a *answerer) takes(r *reply) bool {
	switch {
	case a.ch == nil:
		return false
	case r.ClientToken == "":
		return true
	case r.Error != nil:
		return r.ClientToken == a.tokens[len(a.tokens)-1]
	}
	return slices.Contains(a.tokens, r.ClientToken)
}

// ask publishes a request and waits for its answer; a temporary failure is
// asked about again until the time is up. So is, once, a refusal without a
// token: it may be an old one, replayed from a persistent session.
func (c *Client) ask(ctx context.Context, o CredentialsOptions) (Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	// Old functions answer without a token: only one request may wait, or
	// nobody knew whose answer it is.
	c.asking.Lock()
	defer c.asking.Unlock()
	if err := c.listen(ctx); err != nil {
		return Grant{}, err
	}
	defer func() {
		c.mu.Lock()
		c.answer.tokens = nil
		c.mu.Unlock()
	}()
	for doubted := false; ; {
		r, err := c.askOnce(ctx, o)
		if err != nil {
			return Grant{}, err
		}
		if r.Error != nil && r.Error.Code != badReply && r.ClientToken == "" && !doubted {
			doubted = true
			continue
		}
		g, err := r.grant(c.Thing(), c.clock.Now(), c.hint())
		if strait.KindOf(err) != strait.Unavailable || ctx.Err() != nil {
			return g, err
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return Grant{}, err
		}
	}
}

// listen subscribes to the answers, once.
func (c *Client) listen(ctx context.Context) error {
	c.mu.Lock()
	done := c.answer.subscribed
	c.mu.Unlock()
	if done {
		return nil
	}
	err := c.Subscribe(ctx, c.Thing()+"/token/res", c.answered)
	if err != nil {
		return fmt.Errorf("ask for credentials: %w", err)
	}
	c.mu.Lock()
	c.answer.subscribed = true
	c.mu.Unlock()
	return nil
}

// askTries is how often the server may hang up on a request for credentials
// before that counts as its refusal: once may be chance, such as its restart.
const askTries = 2

// chainHint says where to look when no answer came: the rule, the function or
// its role may be wrong, or another client gets the answers.
func (c *Client) chainHint() string {
	if _, why := c.Connected(); strait.KindOf(why) == strait.Conflict {
		return why.Error()
	}
	if isAWS(c.cfg.Endpoint) {
		return "Look whether the topic rule matched (CloudWatch, AWSIotLogsV2) and what the function logged"
	}
	return "Where the chain broke: strait explain --thing " + c.Thing()
}

func (c *Client) askOnce(ctx context.Context, o CredentialsOptions) (*reply, error) {
	var random [8]byte
	rand.Read(random[:])
	token := hex.EncodeToString(random[:])
	payload, err := json.Marshal(request{token, o.Purpose, int(o.Duration / time.Second)})
	if err != nil {
		return nil, err
	}
	ch := make(chan reply, 1)
	c.mu.Lock()
	c.answer.tokens, c.answer.ch = append(c.answer.tokens, token), ch
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.answer.ch = nil
		c.mu.Unlock()
	}()
	topic := c.Thing() + "/token/req"
	if err := c.publish(ctx, Message{Topic: topic, Payload: payload, QoS: 1}, askTries); err != nil {
		return nil, fmt.Errorf("ask for credentials: %w", err)
	}
	select {
	case r := <-ch:
		return &r, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, strait.Errorf(strait.Unavailable, "credentials", "no credentials came on %s/token/res within %s of asking on %s. %s", c.Thing(), o.Timeout, topic, c.chainHint())
	}
}

// answered handles what comes on "<thing>/token/res". With a token it must be
// the answer to our request; without, what comes after the request counts.
func (c *Client) answered(m Message) {
	r, err := readReply(m.Payload)
	if err != nil {
		r = reply{Error: &refusal{Code: badReply, Message: err.Error()}}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.answer.takes(&r) {
		return
	}
	select {
	case c.answer.ch <- r:
	default:
	}
}
