package template

import (
	"encoding/json"
	"strconv"
	"strings"
)

// A scope is what intrinsic functions see while one device is planned.
type scope struct {
	t      *Template
	values map[string]string
	made   int // bytes made so far
}

// value evaluates the intrinsic functions in v.
func (s *scope) value(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, invalid("it is nested too deep")
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = s.value(e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		for k, arg := range v {
			if k == "Ref" || strings.HasPrefix(k, "Fn::") {
				return s.call(k, arg, depth)
			}
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			x, err := s.value(e, depth+1)
			if err != nil {
				return nil, err
			}
			out[k] = x
		}
		return out, nil
	}
	return v, nil
}

func (s *scope) call(name string, arg any, depth int) (any, error) {
	if name == "Ref" {
		return s.ref(arg.(string))
	}
	if text, ok := arg.(string); ok && name == "Fn::Sub" {
		return s.substitute(text, nil)
	}
	list, ok := arg.([]any)
	if !ok {
		return nil, invalid("%s has the wrong arguments", name)
	}
	args := make([]any, len(list))
	for i, a := range list {
		var err error
		if args[i], err = s.value(a, depth+1); err != nil {
			return nil, err
		}
	}
	switch name {
	case "Fn::Join":
		return s.join(args)
	case "Fn::Select":
		return pick(args)
	case "Fn::Split":
		return split(args)
	case "Fn::FindInMap":
		return s.find(args)
	case "Fn::Sub":
		text, ok := args[0].(string)
		vars, isMap := args[1].(map[string]any)
		if !ok || !isMap {
			return nil, wrong("Fn::Sub wants a string and a map.")
		}
		return s.substitute(text, vars)
	}
	return nil, invalid("the function %s is not known", name)
}

// ref is the value of a parameter; a resource's is its own name, which says
// only that it comes first.
func (s *scope) ref(name string) (any, error) {
	if v, ok := s.values[name]; ok {
		return v, s.grow(len(v))
	}
	for _, r := range s.t.resources {
		if r.name == name {
			return name, nil
		}
	}
	return nil, missing(name)
}

func (s *scope) grow(n int) error {
	if s.made += n; s.made > MaxValue {
		return wrong("The template's values are longer than %d bytes.", MaxValue)
	}
	return nil
}

func (s *scope) join(args []any) (any, error) {
	sep, ok := args[0].(string)
	list, isList := args[1].([]any)
	if !ok || !isList {
		return nil, wrong("Fn::Join wants a string and a list.")
	}
	parts := make([]string, len(list))
	for i, v := range list {
		if parts[i], ok = text(v); !ok {
			return nil, wrong("Fn::Join joins strings only.")
		}
	}
	out := strings.Join(parts, sep)
	return out, s.grow(len(out))
}

func pick(args []any) (any, error) {
	list, ok := args[1].([]any)
	at, isText := text(args[0])
	i, err := strconv.Atoi(at)
	if !ok || !isText || err != nil || i < 0 || i >= len(list) {
		return nil, wrong("Fn::Select has no element %v.", args[0])
	}
	return list[i], nil
}

func split(args []any) (any, error) {
	sep, ok := args[0].(string)
	from, isText := args[1].(string)
	if !ok || !isText || sep == "" {
		return nil, wrong("Fn::Split wants a separator and a string.")
	}
	var out []any
	for _, p := range strings.Split(from, sep) {
		out = append(out, p)
	}
	return out, nil
}

func (s *scope) find(args []any) (any, error) {
	var keys [3]string
	for i, a := range args {
		k, ok := a.(string)
		if !ok {
			return nil, wrong("Fn::FindInMap wants three strings.")
		}
		keys[i] = k
	}
	v, ok := s.t.mappings[keys[0]][keys[1]][keys[2]]
	if !ok {
		return nil, wrong("The mapping %s has no entry %s, %s.", keys[0], keys[1], keys[2])
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return v, s.grow(len(b))
}

// substitute fills ${Name} in; ${!Name} stands for a plain ${Name}.
func (s *scope) substitute(from string, vars map[string]any) (any, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(from, "${")
		out.WriteString(before)
		if !found {
			return out.String(), s.grow(out.Len())
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, wrong("Fn::Sub has a ${ without an end.")
		}
		from = after
		if plain, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + plain + "}")
			continue
		}
		v, ok := vars[name]
		if !ok {
			var err error
			if v, err = s.ref(name); err != nil {
				return nil, err
			}
		}
		t, ok := text(v)
		if !ok {
			return nil, wrong("Fn::Sub: %s is no string.", name)
		}
		if out.WriteString(t); out.Len() > MaxValue {
			return nil, s.grow(out.Len())
		}
	}
}

// text is a scalar as a string.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
