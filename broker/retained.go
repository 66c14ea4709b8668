package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"strait"
	"strait/state"
)

// A shelf holds the retained messages, one a topic. All of them are in the
// store; those of late are in memory, too.
type shelf struct {
	store   state.Store
	journal *journal
	limit   int

	mu       sync.Mutex
	topics   map[string]*shelved
	resident []string // topics whose message is in memory, oldest first
	bytes    int64    // of them
}

type shelved struct {
	msg *Message // nil: in the store only
	f   *flush   // that makes msg durable
}

// shelfBudget is how many bytes of retained messages stay in memory.
const shelfBudget = 16 << 20

// set keeps m, or forgets the topic's message when m is empty.
func (s *shelf) set(m *Message) (*flush, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := retainedPrefix + m.Topic
	old := s.topics[m.Topic]
	if len(m.Payload) == 0 {
		if old != nil {
			s.unload(old)
			delete(s.topics, m.Topic)
		}
		return s.journal.set(state.Write{Key: key, Delete: true}), nil
	}
	if old == nil && len(s.topics) >= s.limit {
		return nil, strait.Errorf(strait.Limit, "retained messages", "there are %d retained messages already, which is the limit", s.limit)
	}
	if old != nil {
		s.unload(old)
	}
	// The lock is held so that the journal sees writes of one topic in the
	// order in which they were kept.
	s.topics[m.Topic] = &shelved{m, s.journal.set(state.Write{Key: key, Value: encodeMessage(m, false)})}
	s.resident = append(s.resident, m.Topic)
	s.bytes += int64(size(m))
	s.shrink()
	return s.topics[m.Topic].f, nil
}

func (s *shelf) unload(old *shelved) {
	if old.msg != nil {
		s.bytes -= int64(size(old.msg))
		old.msg = nil
	}
}

// shrink leaves the oldest messages to the store until the budget holds again
// or one is not durable yet. A topic may be in resident several times.
func (s *shelf) shrink() {
	for len(s.resident) > 0 && (s.bytes > shelfBudget || len(s.resident) > 2*len(s.topics)+64) {
		topic := s.resident[0]
		if it := s.topics[topic]; it != nil && it.msg != nil {
			select {
			case <-it.f.done:
			default:
				return
			}
			if it.f.err != nil { // only we have it yet
				it.f = s.journal.set(state.Write{Key: retainedPrefix + topic, Value: encodeMessage(it.msg, false)})
				return
			}
			s.unload(it)
		}
		s.resident = s.resident[1:]
	}
}

// get returns the message kept for topic, nil when there is none. One that has
// expired is forgotten.
func (s *shelf) get(ctx context.Context, topic string, now time.Time) (*Message, error) {
	s.mu.Lock()
	it := s.topics[topic]
	s.mu.Unlock()
	m, err := s.fetch(ctx, topic)
	if err != nil || m == nil || !m.expired(now) {
		return m, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if it != nil && s.topics[topic] == it { // no newer one came meanwhile
		s.unload(it)
		delete(s.topics, topic)
		s.journal.set(state.Write{Key: retainedPrefix + topic, Delete: true})
	}
	return nil, nil
}

func (s *shelf) fetch(ctx context.Context, topic string) (*Message, error) {
	s.mu.Lock()
	it := s.topics[topic]
	var m *Message
	if it != nil {
		m = it.msg
	}
	s.mu.Unlock()
	if it == nil || m != nil {
		return m, nil
	}
	fact, err := s.store.Get(ctx, retainedPrefix+topic)
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	m, _, err = decodeMessage(fact.Value)
	if err != nil {
		return nil, fmt.Errorf("retained message of topic %q: %w", topic, err)
	}
	return m, nil
}

func (s *shelf) list(ctx context.Context, after string, limit int, now time.Time) ([]*Message, error) {
	if after != "" {
		after = retainedPrefix + after
	}
	var list []*Message
	for len(list) < limit {
		page := min(limit-len(list), listPage)
		facts, err := s.store.List(ctx, retainedPrefix, after, page)
		if err != nil {
			return nil, unavailable(err)
		}
		for _, fact := range facts {
			m, _, err := decodeMessage(fact.Value)
			if err != nil {
				return nil, fmt.Errorf("fact %q: %w", fact.Key, err)
			}
			if !m.expired(now) {
				list = append(list, m)
			}
			after = fact.Key
		}
		if len(facts) < page {
			break
		}
	}
	return list, nil
}

// listPage is how many messages are read at once; each may be 128 KiB.
const listPage = 64

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.topics)
}
