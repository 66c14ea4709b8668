package server

import "time"

// NewTidier returns the decisions of a tidier.
func NewTidier() func(now time.Time, allocs, live, held uint64) bool { return new(tidier).due }
