package authz

import "strait"

// refused is a refusal on a connection: as long as the policies are the same
// prepared ones, and in the same second, it comes out the same.
type refused struct {
	by        *prepared
	trace     string
	operation string
	action    strait.Action
	resource  strait.ARN
}

// An answered is what was answered to it, and where it is recorded.
type answered struct {
	entry *entry
	err   *strait.Error
}

// again counts a refusal that was answered in this second already, and returns
// the answer; nil when it was not. It makes a flood of refusals cheap: its
// reasons are found once a second.
func (r *Recorder) again(key refused) error {
	second := r.now().Unix()
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.answers[key]
	if !ok || second != r.second || a.entry.gone {
		return nil
	}
	a.entry.more++
	r.decided[a.entry.rec.Decision.Effect].Add(1)
	return a.err
}

// answer remembers the answer to a refusal that was just recorded as id.
func (r *Recorder) answer(key refused, id string, err *strait.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if el := r.all.Back(); el != nil && len(r.answers) < kept {
		if e := el.Value.(*entry); e.rec.ID == id {
			r.answers[key] = answered{e, err}
		}
	}
}
