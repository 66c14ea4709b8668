package api

import (
	"regexp"

	"strait"
	"strait/function"
)

// AWS's patterns of what names a function and a version or alias of it; texts
// show them as they are there.
const (
	functionNamePattern  = `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`
	qualifierPattern     = `\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`
	executionRolePattern = `arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`
)

var (
	functionNameRE  = regexp.MustCompile(`^(arn:aws:lambda:)?(?:([a-z-]+-\d):)?(?:(\d{12}):)?(function:)?([a-zA-Z0-9_.-]+)(?::(\$LATEST|[a-zA-Z0-9_-]+))?$`)
	executionRoleRE = regexp.MustCompile("^" + executionRolePattern + "$")
	qualifierRE     = regexp.MustCompile(`^(\$LATEST|[a-zA-Z0-9_$-]+)$`)
)

// resolve reads which function in names.
func resolve(v View, in ofFunction) (target, error) {
	name, qualifier := in.function()
	p := v.Place()
	switch {
	case len(qualifier) > 128:
		return target{}, misfit(qualifier, "qualifier", "Member must have length less than or equal to 128")
	case qualifier != "" && !qualifierRE.MatchString(qualifier):
		return target{}, misfit(qualifier, "qualifier", "Member must satisfy regular expression pattern: "+qualifierPattern)
	}
	m := functionNameRE.FindStringSubmatch(name)
	// An ARN says it all.
	if m == nil || m[1] != "" && (m[2] == "" || m[3] == "" || m[4] == "") {
		return target{}, misfit(name, "functionName", "Member must satisfy regular expression pattern: "+functionNamePattern)
	}
	switch {
	case m[2] != "" && m[2] != p.Region:
		return target{}, strait.Errorf(strait.NotFound, "function", "Functions from '%s' are not reachable in this region ('%s')", m[2], p.Region)
	case m[3] != "" && m[3] != p.Account:
		return target{}, noFunction(strait.ARN(name))
	case m[6] != "" && qualifier != "" && qualifier != m[6]:
		return target{}, strait.Errorf(strait.Invalid, "qualifier", "The derived qualifier from the function name does not match the specified qualifier.")
	case m[6] != "":
		qualifier = m[6]
	}
	t := target{name: m[5], explicit: qualifier, arn: p.Lambda(m[5])}
	if qualifier != "" && qualifier != function.Latest {
		t.qualifier = qualifier
		t.arn += strait.ARN(":" + qualifier)
	}
	return t, nil
}

// misfit is how AWS says that a value does not fit its shape.
func misfit(value, at, what string) error {
	return strait.Errorf(strait.Invalid, "request", "1 validation error detected: Value '%.300s' at '%s' failed to satisfy constraint: %s", value, at, what)
}

// wholeFunction is resolve for what has no versions.
func wholeFunction(v View, in ofFunction) (target, error) {
	t, err := resolve(v, in)
	if err != nil || t.explicit == "" {
		return t, err
	}
	switch in.(type) {
	case *tagsInput, *tagInput, *untagInput:
		err = strait.Errorf(strait.Invalid, "qualifier", "Tags on function aliases and versions are not supported. Please specify a function ARN.")
	default:
		err = strait.Errorf(strait.Invalid, "qualifier", "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return t, err
}
