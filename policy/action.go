package policy

import "strings"

// An actionName is a pattern for actions, in lower case. Most are a text, or a
// text and a star.
type actionName struct {
	how  quickHow // quickExact, quickPrefix, or quickNot for any other
	text string
}

func readActionName(pattern string) actionName {
	text := string(lowerInto(nil, pattern))
	switch {
	case odd(pattern):
		return actionName{quickNot, text}
	case strings.HasSuffix(text, "*"):
		return actionName{quickPrefix, strings.TrimSuffix(text, "*")}
	}
	return actionName{quickExact, text}
}

// odd tells whether a pattern is more than a text or a text and a star.
func odd(pattern string) bool {
	wild := strings.IndexAny(pattern, "*?")
	return wild >= 0 && (wild < len(pattern)-1 || pattern[wild] == '?')
}

// match matches an action in lower case.
func (a *actionName) match(action string) bool {
	switch a.how {
	case quickExact:
		return action == a.text
	case quickPrefix:
		return strings.HasPrefix(action, a.text)
	}
	return foldMatch(a.text, action)
}

// coversLower is covers for an action in lower case.
func (st *statement) coversLower(action string) bool {
	for i := range st.names {
		if st.names[i].match(action) {
			return !st.notAction
		}
	}
	return st.notAction
}

// lowered returns an action in lower case, without allocating for the usual
// ones.
func lowered(action string) string {
	switch action {
	case "iot:Publish":
		return "iot:publish"
	case "iot:Receive":
		return "iot:receive"
	case "s3:PutObject":
		return "s3:putobject"
	case "s3:GetObject":
		return "s3:getobject"
	}
	var buffer [64]byte
	return string(lowerInto(buffer[:0], action))
}
