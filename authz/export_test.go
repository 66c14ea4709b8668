package authz

import "time"

// Flush does at once what Run does once a second.
func (l *Log) Flush() {
	l.flush(time.Time{})
	l.sample(l.uses.flush(&l.recorder.used))
}
