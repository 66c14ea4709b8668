package md5lanes

const Ahead = ahead

func Able() bool { return able() }

func Proven() bool { return proven() }

// Waiting counts the Digests that the pool knows of.
func (p *Pool) Waiting() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for d := p.wait.first; d != nil; d = d.next {
		n++
	}
	return n + p.open
}
