package rule

import (
	"bytes"
	"encoding/json"
	"strings"

	"strait"
)

// A Question is what a function of the SQL asks outside.
type Question struct {
	Function string     // "aws_lambda", "get_thing_shadow" or "get_registry_data"
	ARN      strait.ARN // aws_lambda: the function to invoke, waiting for its answer
	Payload  []byte     // aws_lambda: the event
	Role     strait.ARN // of the others: the role that asks
	API      string     // get_registry_data: "DescribeThing" or "ListThingGroupsForThing"
	Thing    string
	Shadow   string // get_thing_shadow: "" is the classic one
}

// askFunction reads a function that asks outside. Functions and roles stand in
// the statement itself, so that whoever makes the rule answers for them.
func (p *parser) askFunction(word token) (term, error) {
	name := strings.ToLower(word.text)
	least, most := 2, 2
	if name != "aws_lambda" {
		if err := p.newer(word, "the function "+word.text+"()"); err != nil {
			return term{}, err
		}
		if most = 3; name == "get_registry_data" {
			least = 3
		}
	}
	args, err := p.arguments(word, least, most, false)
	if err != nil {
		return term{}, err
	}
	p.asks = true
	want := name
	if name == "get_registry_data" {
		want += " " + args[0].known.text
	}
	p.wants = append(p.wants, want)
	if name == "aws_lambda" {
		arn, err := p.fixedARN(word, args[0], "lambda", "function:")
		if err != nil {
			return term{}, err
		}
		p.functions = append(p.functions, arn)
		return apply(word, args, func(in *Input, a []value) value {
			if a[1].kind == undefined {
				return value{}
			}
			return in.ask(Question{Function: name, ARN: arn, Payload: a[1].output(in).append(nil)})
		}), nil
	}
	role, err := p.fixedARN(word, args[len(args)-1], "iam", "role/")
	if err != nil {
		return term{}, err
	}
	p.roles = append(p.roles, role)
	q := Question{Function: name, Role: role}
	if name == "get_registry_data" {
		if p.heavy++; p.heavy > 1 {
			return term{}, p.refuse(word, "%s() may stand once in a statement", word.text)
		}
		q.API = args[0].known.text
		if !args[0].constant || q.API != "DescribeThing" && q.API != "ListThingGroupsForThing" {
			return term{}, p.refuse(word, "%s() takes 'DescribeThing' or 'ListThingGroupsForThing' first", word.text)
		}
	}
	return apply(word, args, func(in *Input, a []value) value {
		names := a[:len(a)-1]
		for _, n := range names {
			if n.kind != text {
				return value{}
			}
		}
		q := q
		q.Thing = names[0].text
		switch {
		case q.API != "":
			q.Thing = names[1].text
		case len(names) == 2:
			q.Shadow = names[1].text
		}
		return in.ask(q)
	}), nil
}

// fixedARN reads an argument that must be an ARN in quotes.
func (p *parser) fixedARN(word token, arg term, service, kind string) (strait.ARN, error) {
	arn := strait.ARN(arg.known.text)
	parts, err := arn.Parse()
	if !arg.constant || err != nil || parts.Service != service || !strings.HasPrefix(parts.Resource, kind) || len(arn) > 2048 {
		return "", p.refuse(word, "%s() takes the ARN of a %s, written in quotes", word.text, strings.TrimRight(kind, ":/"))
	}
	return arn, nil
}

// ask gets the answer, as JSON; without one the whole run fails.
func (in *Input) ask(q Question) value {
	if in.err != nil {
		return value{}
	}
	if in.Ask == nil {
		in.outside = true
		in.fail(strait.Errorf(strait.Unsupported, "sql", "%s() is not offered here", q.Function))
		return value{}
	}
	answer, err := in.Ask(q)
	var compact bytes.Buffer
	if err == nil && (json.Compact(&compact, answer) != nil || compact.Len() == 0) {
		err = strait.Errorf(strait.Invalid, "answer", "%s() was not answered with JSON", q.Function)
	}
	if err != nil {
		in.outside = true
		in.fail(err)
		return value{}
	}
	if !in.charge(compact.Len()) {
		return value{}
	}
	return fromJSON(compact.Bytes())
}
