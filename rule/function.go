package rule

import (
	"strconv"
	"strings"
)

// plain are the functions without arguments; topic, isNull and isUndefined are
// read by function itself.
func plain(name string) func(*Input) value {
	switch strings.ToLower(name) {
	case "clientid":
		return func(in *Input) value {
			if in.ClientID == "" {
				return value{kind: text, text: "n/a"} // as AWS has it for HTTP
			}
			return value{kind: text, text: in.ClientID}
		}
	case "timestamp":
		return func(in *Input) value {
			return value{kind: number, raw: strconv.AppendInt(nil, in.Time.UnixMilli(), 10)}
		}
	case "principal":
		return func(in *Input) value { return textOrUndefined(in.Principal) }
	case "accountid":
		return func(in *Input) value { return textOrUndefined(in.Account) }
	case "traceid":
		return func(in *Input) value { return textOrUndefined(in.Trace) }
	}
	return nil
}

func textOrUndefined(s string) value {
	if s == "" {
		return value{}
	}
	return value{kind: text, text: s}
}

// function reads name(arguments).
func (p *parser) function() (term, error) {
	word := p.peek()
	p.next += 2 // the name and "("
	t := term{text: word.text + "()", level: valueLevel, name: word.text}
	switch eval := plain(word.text); {
	case eval != nil:
		t.eval = eval
	case word.is("topic"):
		t.eval = func(in *Input) value { return value{kind: text, text: in.Topic} }
		if !p.peek().is(")") {
			n, err := p.position()
			if err != nil {
				return term{}, err
			}
			t.text = word.text + "(" + strconv.Itoa(n) + ")"
			t.eval = func(in *Input) value { return topicLevel(in.Topic, n) }
		}
	case word.is("isNull"), word.is("isUndefined"):
		if err := p.enter(word); err != nil {
			return term{}, err
		}
		defer p.leave()
		of, err := p.expression()
		if err != nil {
			return term{}, err
		}
		want := undefined
		if word.is("isNull") {
			want = null
		}
		t.text = word.text + "(" + of.text + ")"
		t.eval = func(in *Input) value { return value{kind: boolean, flag: of.eval(in).kind == want} }
	default:
		return term{}, p.refuse(word, "the function %s() is not offered; offered are topic, clientid, timestamp, principal, accountid, traceid, isNull and isUndefined", clip(word.text))
	}
	if !p.take(")") {
		return term{}, p.refuse(p.peek(), "%s() takes no more arguments", word.text)
	}
	return t, nil
}

// topicLevel is the nth level of topic, counted from 1.
func topicLevel(topic string, n int) value {
	if topic == "" {
		return value{}
	}
	for level := range strings.SplitSeq(topic, "/") {
		if n--; n == 0 {
			return value{kind: text, text: level}
		}
	}
	return value{}
}
