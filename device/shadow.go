package device

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"sync"

	"strait"
)

// A Shadow is one device shadow of the Client's thing: a document that the
// device and others change piece by piece. It works over the connection, with
// the thing's rights to publish to, subscribe to and receive from the shadow's
// topics. Its methods may be called from several goroutines.
type Shadow struct {
	c    *Client
	base string

	// opening is held while topics are subscribed to.
	opening sync.Mutex
	open    map[string]bool // operations whose answers are subscribed to

	mu     sync.Mutex
	asked  map[string]chan shadowAnswer // by client token
	latest ShadowDelta                  // the last one handed on
}

// A ShadowDocument is a shadow, or the part of it that an update has changed.
// Sections that it does not have are nil.
type ShadowDocument struct {
	State struct {
		Desired  json.RawMessage `json:"desired"`
		Reported json.RawMessage `json:"reported"`
		Delta    json.RawMessage `json:"delta"` // what is desired and not reported so
	} `json:"state"`
	Version   int64 `json:"version"`
	Timestamp int64 `json:"timestamp"` // seconds since 1970
}

// A ShadowUpdate is what to change; nil sections are left as they are. Values
// are encoded as JSON; null removes a member.
type ShadowUpdate struct {
	Desired, Reported any
	// Version, unless 0, must be the shadow's; otherwise the update is refused
	// as a Conflict.
	Version int64
}

// A ShadowDelta tells what is desired of the device and not reported by it.
type ShadowDelta struct {
	State     json.RawMessage `json:"state"`
	Version   int64           `json:"version"`
	Timestamp int64           `json:"timestamp"`
}

// Shadow returns the shadow called name of the Client's thing, the classic one
// when name is empty.
func (c *Client) Shadow(name string) (*Shadow, error) {
	base := "$aws/things/" + c.Thing() + "/shadow"
	if len(name) > 64 || strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_-") != "" {
		return nil, strait.Errorf(strait.Invalid, "shadow", "%q is no name of a shadow", name)
	}
	if name != "" {
		base += "/name/" + name
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shadows[name]
	if s == nil {
		s = &Shadow{c: c, base: base, open: map[string]bool{}, asked: map[string]chan shadowAnswer{}}
		if c.shadows == nil {
			c.shadows = map[string]*Shadow{}
		}
		c.shadows[name] = s
	}
	return s, nil
}

// Topic is a topic of the shadow, such as Topic("update/documents").
func (s *Shadow) Topic(part string) string { return s.base + "/" + part }

// Get returns the document. NotFound means that there is no such shadow.
func (s *Shadow) Get(ctx context.Context) (ShadowDocument, error) {
	return s.ask(ctx, "get", map[string]any{})
}

// Update changes the shadow, and makes it when there is none. It returns when
// the change is kept, with what was changed and the new version. Conflict means
// that Version is not the shadow's; Limit, that too much is under way.
func (s *Shadow) Update(ctx context.Context, u ShadowUpdate) (ShadowDocument, error) {
	state := map[string]any{}
	if u.Desired != nil {
		state["desired"] = u.Desired
	}
	if u.Reported != nil {
		state["reported"] = u.Reported
	}
	request := map[string]any{"state": state}
	if u.Version != 0 {
		request["version"] = u.Version
	}
	return s.ask(ctx, "update", request)
}

// Delete deletes the shadow; NotFound means that there is none.
func (s *Shadow) Delete(ctx context.Context) error {
	_, err := s.ask(ctx, "delete", map[string]any{})
	return err
}

// Deltas calls the handler for what is desired and not reported so: first as
// it is now, then with each change, until the Client is closed. What is older
// than what was told before is left out, so that a message that comes twice, or
// late, does no harm. It may be called once.
func (s *Shadow) Deltas(ctx context.Context, handler func(ShadowDelta)) error {
	tell := func(d ShadowDelta) {
		s.mu.Lock()
		// Versions begin anew long after a deletion; time does not.
		old := d.Version <= s.latest.Version && d.Timestamp <= s.latest.Timestamp
		if !old {
			s.latest = d
		}
		s.mu.Unlock()
		if !old {
			handler(d)
		}
	}
	var turn sync.Mutex // the first one comes from another goroutine
	err := s.c.Subscribe(ctx, s.Topic("update/delta"), func(m Message) {
		var d ShadowDelta
		if err := json.Unmarshal(m.Payload, &d); err != nil {
			s.c.cfg.Log.Warn("a shadow's delta cannot be read", "topic", m.Topic, "error", err)
			return
		}
		turn.Lock()
		defer turn.Unlock()
		tell(d)
	})
	if err != nil {
		return err
	}
	now, err := s.Get(ctx)
	if strait.KindOf(err) == strait.NotFound || err == nil && now.State.Delta == nil {
		return nil
	}
	if err == nil {
		turn.Lock()
		defer turn.Unlock()
		tell(ShadowDelta{now.State.Delta, now.Version, now.Timestamp})
	}
	return err
}

// A shadowAnswer is what came on accepted or rejected.
type shadowAnswer struct {
	ShadowDocument
	Code    int    `json:"code"`
	Message string `json:"message"`
	Token   string `json:"clientToken"`
}

func (a *shadowAnswer) err() error {
	kind := strait.Invalid
	switch {
	case a.Code == 0:
		return nil
	case a.Code == 401 || a.Code == 403:
		kind = strait.Denied
	case a.Code == 404:
		kind = strait.NotFound
	case a.Code == 409:
		kind = strait.Conflict
	case a.Code == 413:
		kind = strait.TooLarge
	case a.Code == 429:
		kind = strait.Limit
	case a.Code >= 500:
		kind = strait.Unavailable
	}
	return strait.Errorf(kind, "shadow", "the shadow service refused: %d %s", a.Code, a.Message)
}

// ask publishes a request and waits for the answer that has its token.
func (s *Shadow) ask(ctx context.Context, op string, request map[string]any) (ShadowDocument, error) {
	if err := s.listen(ctx, op); err != nil {
		return ShadowDocument{}, err
	}
	token := rand.Text()
	request["clientToken"] = token
	payload, err := json.Marshal(request)
	if err != nil {
		return ShadowDocument{}, strait.Errorf(strait.Invalid, "shadow", "the state cannot be written as JSON: %w", err)
	}
	answered := make(chan shadowAnswer, 1)
	s.mu.Lock()
	s.asked[token] = answered
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.asked, token)
		s.mu.Unlock()
	}()
	if err := s.c.Publish(ctx, Message{Topic: s.Topic(op), Payload: payload, QoS: 1}); err != nil {
		return ShadowDocument{}, err
	}
	select {
	case a := <-answered:
		return a.ShadowDocument, a.err()
	case <-s.c.ctx.Done():
		return ShadowDocument{}, errClosed
	case <-ctx.Done():
		return ShadowDocument{}, strait.Errorf(strait.Unavailable, "shadow", "no answer on %s/accepted or /rejected (may the thing receive from them?): %w", s.Topic(op), ctx.Err())
	}
}

// listen subscribes to the answers of op, once.
func (s *Shadow) listen(ctx context.Context, op string) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	for _, part := range []string{op + "/accepted", op + "/rejected"} {
		if s.open[part] {
			continue
		}
		err := s.c.Subscribe(ctx, s.Topic(part), func(m Message) {
			var a shadowAnswer
			if err := json.Unmarshal(m.Payload, &a); err != nil {
				s.c.cfg.Log.Warn("an answer about a shadow cannot be read", "topic", m.Topic, "error", err)
				return
			}
			if strings.HasSuffix(m.Topic, "/accepted") {
				a.Code = 0
			} else if a.Code == 0 {
				a.Code = 500
			}
			s.mu.Lock()
			answered := s.asked[a.Token]
			s.mu.Unlock()
			if answered == nil {
				return // somebody else asked, or nobody waits any more
			}
			select {
			case answered <- a:
			default: // it came twice
			}
		})
		if err != nil {
			return err
		}
		s.open[part] = true
	}
	return nil
}
