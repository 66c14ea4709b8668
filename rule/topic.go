package rule

import (
	"strings"
	"unicode/utf8"
)

const maxFilter = 256 // bytes, as for a subscription

// A node is one level of the tree of topic filters.
type node struct {
	next map[string]*node // by the level's text, "+" too
	here []*definition    // filters that end here
	rest []*definition    // filters that end here with "/#"
}

func (n *node) add(filter string, d *definition) {
	for {
		level, tail, more := strings.Cut(filter, "/")
		if level == "#" {
			n.rest = append(n.rest, d)
			return
		}
		child := n.next[level]
		if child == nil {
			child = &node{}
			if n.next == nil {
				n.next = make(map[string]*node)
			}
			n.next[level] = child
		}
		if !more {
			child.here = append(child.here, d)
			return
		}
		n, filter = child, tail
	}
}

// match appends the definitions whose filters match topic. "a/#" does not
// match "a", and a wildcard at the first level matches no topic that begins
// with "$"; both as AWS has it for subscriptions (unverified for rules).
func (n *node) match(topic string, to []*definition) []*definition {
	if topic == "" {
		return to
	}
	if topic[0] == '$' {
		level, tail, more := strings.Cut(topic, "/")
		return n.next[level].step(tail, more, to)
	}
	return n.walk(topic, to)
}

func (n *node) walk(topic string, to []*definition) []*definition {
	to = append(to, n.rest...)
	level, tail, more := strings.Cut(topic, "/")
	if level != "+" { // a topic has no wildcards; do not count such a one twice
		to = n.next[level].step(tail, more, to)
	}
	return n.next["+"].step(tail, more, to)
}

// step goes on below n, or ends there when the topic has no more levels.
func (n *node) step(tail string, more bool, to []*definition) []*definition {
	switch {
	case n == nil:
		return to
	case more:
		return n.walk(tail, to)
	}
	return append(to, n.here...)
}

// checkFilter returns what is wrong with a topic filter, "" when it is right.
func checkFilter(filter string) string {
	switch {
	case filter == "":
		return "the topic filter is empty"
	case len(filter) > maxFilter:
		return "the topic filter has more than 256 bytes"
	case !utf8.ValidString(filter) || strings.ContainsRune(filter, 0):
		return "the topic filter is not UTF-8 text"
	}
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if strings.Contains(level, "#") && (level != "#" || more) {
			return "'#' must be the last level of the topic filter, alone"
		}
		if strings.Contains(level, "+") && level != "+" {
			return "'+' must be a whole level of the topic filter"
		}
	}
	return ""
}
