package sigv4

import "sync"

// A KeyRing remembers signing keys, which are the same for all requests of a
// day: deriving one costs more than the signature itself. The zero KeyRing is
// ready, and may be used from many goroutines. It holds keys of those only who
// have proven that they know the secret.
type KeyRing struct {
	mu   sync.Mutex
	keys map[ringKey][]byte
}

type ringKey struct {
	secret string
	scope  Scope
}

// maxRing is how many keys a KeyRing holds; it begins anew when it is full.
const maxRing = 1024

// key returns the signing key of secret in scope. A nil KeyRing remembers none.
func (r *KeyRing) key(secret string, s Scope) []byte {
	if r != nil {
		r.mu.Lock()
		key := r.keys[ringKey{secret, s}]
		r.mu.Unlock()
		if key != nil {
			return key
		}
	}
	return signingKey(secret, s)
}

// keep remembers key, with which somebody has proven to know secret.
func (r *KeyRing) keep(secret string, s Scope, key []byte) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys[ringKey{secret, s}] != nil {
		return
	}
	if r.keys == nil || len(r.keys) >= maxRing {
		r.keys = map[ringKey][]byte{}
	}
	r.keys[ringKey{secret, s}] = key
}
