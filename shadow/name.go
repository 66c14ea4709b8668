package shadow

import (
	"strings"

	"strait"
)

// A Name names one shadow of one thing. The thing need not exist.
type Name struct {
	Thing  string
	Shadow string // "" is the classic one
}

const (
	maxThing  = 128
	maxShadow = 64
	letters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-"
)

// Valid refuses what is no name, with Invalid "name".
func (n Name) Valid() error {
	if !isName(n.Thing, maxThing) {
		return strait.Errorf(strait.Invalid, "name", "Invalid thing name: it has 1 to %d letters, digits, and : _ -", maxThing)
	}
	if n.Shadow != "" && !isName(n.Shadow, maxShadow) {
		return strait.Errorf(strait.Invalid, "name", "Invalid shadow name: it has 1 to %d letters, digits, and : _ -", maxShadow)
	}
	return nil
}

func isName(s string, longest int) bool {
	return s != "" && len(s) <= longest && strings.Trim(s, letters) == ""
}

// String is what refusals call the shadow: its own name, or the thing's.
func (n Name) String() string {
	if n.Shadow == "" {
		return n.Thing
	}
	return n.Shadow
}

// A name cannot hold a slash, so that keys cannot run into each other.
const (
	livePrefix = "shadow/live/"
	gonePrefix = "shadow/gone/" // the versions of shadows that were deleted
)

func (n Name) live() string { return livePrefix + n.Thing + "/" + n.Shadow }
func (n Name) gone() string { return gonePrefix + n.Thing + "/" + n.Shadow }
