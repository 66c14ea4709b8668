package s3

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/object"
	"strait/state"
)

// Options of Open. Endpoint may be empty for AWS itself; Credentials may not.
type Options struct {
	Endpoint    string // such as https://store.example.org:9000
	Region      string // "" means us-east-1
	Credentials aws.CredentialsProvider
	// Bucket is the only one that is offered; "" offers all that the
	// credentials reach.
	Bucket string
	// VirtualHost puts the bucket's name before the endpoint's host, instead
	// of into the path. Always so when Endpoint is empty.
	VirtualHost bool
	// Spool is a directory for bodies of unknown size; made when missing.
	Spool string

	HTTP aws.HTTPClient   // nil: one of its own
	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: nowhere
}

// A Store is an object.Store in another store. It owns the facts below "far/"
// in its state.Store.
type Store struct {
	remote *awss3.Client
	facts  state.Store
	bucket string
	spool  string
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex
	calls  sync.WaitGroup
	closed bool
	known  map[string]time.Time // buckets that were there, and when
}

var _ object.Store = (*Store)(nil)

// Open returns the store; it asks nothing of the other one yet. facts stays the
// caller's, to be closed after the Store.
func Open(facts state.Store, o Options) (*Store, error) {
	if o.Credentials == nil {
		return nil, errors.New("open the far object store: credentials are needed")
	}
	if o.Bucket != "" {
		if err := object.ValidBucket(o.Bucket); err != nil {
			return nil, err
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	remote, err := connect(o)
	if err != nil {
		return nil, err
	}
	if o.Spool != "" {
		if err := os.MkdirAll(o.Spool, 0o700); err != nil {
			return nil, err
		}
	}
	return &Store{remote: remote, facts: facts, bucket: o.Bucket, spool: o.Spool, now: o.Now, log: o.Log, known: map[string]time.Time{}}, nil
}

// Close waits for calls under way.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	return nil
}

// enter begins a call; the caller defers s.calls.Done when it succeeds.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return strait.Errorf(strait.Unavailable, "store", "the object store is closed")
	}
	s.calls.Add(1)
	return nil
}

// clock is the time as records keep it.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// remember is how long a bucket that was there is taken to be there still. One
// that is gone is told by the other store with the request itself; it only
// comes after a body was read in vain.
const remember = 5 * time.Second

func (s *Store) remembers(bucket string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.known[bucket]
	return ok && s.now().Sub(at) < remember
}

func (s *Store) note(bucket string, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !there {
		delete(s.known, bucket)
		return
	}
	if len(s.known) > 1000 {
		clear(s.known)
	}
	s.known[bucket] = s.now()
}

// exists tells, cheaply, whether there is such a bucket.
func (s *Store) exists(ctx context.Context, bucket string) error {
	if s.remembers(bucket) {
		return nil
	}
	_, err := s.Bucket(ctx, bucket)
	return err
}

// apply writes facts that belong to what has been done already. A failure is
// only logged: the object is there, and who is told otherwise does it again.
func (s *Store) apply(ctx context.Context, writes ...state.Write) {
	if len(writes) == 0 {
		return
	}
	if _, err := s.facts.Apply(context.WithoutCancel(ctx), writes...); err != nil {
		s.log.Error("facts about an object in the far store could not be kept", "err", err)
	}
}
