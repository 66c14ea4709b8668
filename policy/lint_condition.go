package policy

import "strings"

// conditions finds conditions that never or always hold, or hold for those
// who lack the key.
func (l *linter) conditions() {
	for i := range l.st.conditions {
		c := &l.st.conditions[i]
		if !Supplied(c.lower) {
			effect := "an Allow that names it never matches"
			if l.st.deny {
				effect = "a Deny that names it always matches"
			}
			l.add("unsupplied-key", c.line, "Use a key that is supplied; see the list of condition keys.",
				"Strait never supplies %s, so %s", c.key, effect)
		}
		if c.set == forAllValues && !l.st.deny && !l.present(c.lower) && c.lower != "iot:connectattributes" {
			l.add("forallvalues-allow", c.line, `Add "Null": {"`+c.key+`": "false"} to the Condition.`,
				"%s also holds when %s is absent, so this allows callers who have no such value", c.name, c.key)
		}
		for j := range c.values {
			l.value(c, &c.values[j])
		}
	}
}

// present tells whether the statement demands that the key has a value.
func (l *linter) present(key string) bool {
	for i := range l.st.conditions {
		c := &l.st.conditions[i]
		if c.family == familyNull && c.lower == key && !c.null(true) {
			return true
		}
	}
	return false
}

func (l *linter) value(c *condition, v *value) {
	bad := !v.valid
	switch c.family {
	case familyBool, familyNull:
		bad = !strings.EqualFold(v.source, "true") && !strings.EqualFold(v.source, "false") && !strings.Contains(v.source, "${")
	}
	if bad {
		l.add("unreadable-value", c.line, "Write it as "+c.wants()+".",
			"%s cannot be read as %s, so it never matches", quote(v.source), c.wants())
	}
	if !strings.Contains(v.source, "${") {
		if c.family == familyString && !c.like && strings.ContainsAny(v.source, "*") {
			l.add("wildcard-in-equals", c.line, "Use "+strings.Replace(strings.Replace(strings.TrimSuffix(c.name, "IfExists"), "EqualsIgnoreCase", "Like", 1), "Equals", "Like", 1)+".",
				"%s compares letter by letter; the * in %s is no wildcard", c.name, quote(v.source))
		}
		return
	}
	switch {
	case l.doc.Version != "2012-10-17":
		l.add("variable-2008", c.line, `Write "Version": "2012-10-17" at the beginning of the policy.`,
			"Under Version 2008-10-17 (also when none is written) ${...} is plain text, also in %s", quote(v.source))
	case !c.variables():
		l.add("variable-place", c.line, "Write the value itself.", "%s fills in no variables; %s is plain text", c.name, quote(v.source))
	}
}

// wants says what the operator's values are.
func (op operator) wants() string {
	switch op.family {
	case familyNumeric:
		return "a number"
	case familyDate:
		return "a date such as 2026-01-31T12:00:00Z"
	case familyIP:
		return "an address or a net such as 10.0.0.0/8"
	case familyBinary:
		return "base64"
	}
	return `"true" or "false"`
}

// clientID finds the client id where the thing's name is meant. A client
// chooses its id freely, unless Connect is allowed for ids only that the
// client cannot choose.
func (l *linter) clientID() {
	if l.kind != IoT || l.st.deny {
		return
	}
	_, items := l.element("Resource")
	for i, n := range items {
		uses := names(l.st.resources[i].tokens, func(key string) bool { return key == "iot:clientid" })
		if !uses {
			continue
		}
		if isClient := strings.HasPrefix(lastPart(n.text), "client/"); isClient && !l.st.attached() {
			l.add("spoofable-client-id", n.line, `Write client/${iot:Connection.Thing.ThingName} and add "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}.`,
				"A client chooses its id, so %s lets it connect under any name: it restricts nothing", n.text)
		} else if !isClient && !l.bound() && !l.st.attached() {
			l.add("spoofable-client-id", n.line, "Write ${iot:Connection.Thing.ThingName}, or allow iot:Connect only for ids that the client cannot choose.",
				"A client chooses its id, so with %s it reaches the topics of any other", n.text)
		}
	}
}

// attached tells whether the statement holds only for a thing that the
// certificate is attached to, whose name then is the client id.
func (st *statement) attached() bool {
	for i := range st.conditions {
		c := &st.conditions[i]
		if c.lower == "iot:connection.thing.isattached" && c.family == familyBool && !c.ifExists && c.set != forAllValues &&
			len(c.values) == 1 && strings.EqualFold(c.values[0].source, "true") {
			return true
		}
	}
	return false
}

// bound tells whether the document lets its holder connect under ids only that
// it cannot choose. Without a word about Connect it does not.
func (l *linter) bound() bool {
	if l.isBound == nil {
		b := l.isConnectBound()
		l.isBound = &b
	}
	return *l.isBound
}

func (l *linter) isConnectBound() bool {
	some := false
	for _, st := range l.doc.statements {
		if st.deny || !st.covers("iot:Connect") {
			continue
		}
		if st.notResource {
			return false
		}
		for _, a := range st.resources {
			if fitsType(a.source, "client") && !st.attached() {
				if a.all || strings.ContainsAny(a.source, "*?") || names(a.tokens, func(k string) bool { return k == "iot:clientid" }) {
					return false
				}
			}
			some = some || fitsType(a.source, "client")
		}
	}
	return some
}
