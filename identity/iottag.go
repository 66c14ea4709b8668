package identity

import (
	"context"
	"maps"
	"regexp"
	"strings"
	"unicode/utf8"

	"strait"
)

// Tags are the tags of one IoT resource: a thing group, a thing type, a policy
// or a topic rule.
type Tags struct {
	ARN  strait.ARN
	Tags map[string]string
}

// iotTagRE is what keys and values consist of.
var iotTagRE = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// retag returns old with tags added. Unlike IAM's, keys of IoT's tags are told
// apart by case.
func retag(old map[string]string, tags []Tag) (map[string]string, error) {
	out := maps.Clone(old)
	if out == nil {
		out = map[string]string{}
	}
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > 128 || utf8.RuneCountInString(t.Value) > 256:
			return nil, strait.Errorf(strait.Invalid, "request", "The key of a tag has 1 to 128 characters, its value at most 256.")
		case !iotTagRE.MatchString(t.Key) || !iotTagRE.MatchString(t.Value):
			return nil, strait.Errorf(strait.Invalid, "request", "The tag %q is invalid: keys and values consist of letters, digits, blanks and _.:/=+-@.", t.Key)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, strait.Errorf(strait.Invalid, "request", "The tag %q is invalid: keys that begin with aws: are reserved.", t.Key)
		case seen[t.Key]:
			return nil, strait.Errorf(strait.Invalid, "request", "The tag %q is given twice.", t.Key)
		}
		seen[t.Key] = true
		out[t.Key] = t.Value
	}
	if len(out) > maxTags {
		return nil, strait.Errorf(strait.Limit, "tag", "A resource has at most %d tags.", maxTags)
	}
	return out, nil
}

// tag adds tags to a resource, in the batch of x.
func (d *Directory) tag(x *tx, arn strait.ARN, tags []Tag) error {
	if len(tags) == 0 {
		return nil
	}
	var have map[string]string
	if old := d.tags.get(string(arn)); old != nil {
		have = old.Tags
	}
	now, err := retag(have, tags)
	if err != nil {
		return err
	}
	return put(x, &d.tags, string(arn), &Tags{ARN: arn, Tags: now})
}

// untagAll removes all tags of a resource, in the batch of x.
func (d *Directory) untagAll(x *tx, arn strait.ARN) { remove(x, &d.tags, string(arn)) }

// CheckTags judges tags for an IoT resource that is yet to be made.
func CheckTags(tags []Tag) error {
	_, err := retag(nil, tags)
	return err
}

// TagIoT adds tags to an IoT resource, which the caller knows to exist.
func (d *Directory) TagIoT(ctx context.Context, arn strait.ARN, tags []Tag) error {
	return d.update(ctx, func(x *tx) error { return d.tag(x, arn, tags) })
}

// UntagIoT removes tags of an IoT resource, all of them when keys is nil.
func (d *Directory) UntagIoT(ctx context.Context, arn strait.ARN, keys []string) error {
	return d.update(ctx, func(x *tx) error {
		old := d.tags.get(string(arn))
		if old == nil {
			return nil
		}
		left := maps.Clone(old.Tags)
		for _, k := range keys {
			delete(left, k)
		}
		if len(left) == 0 || keys == nil {
			d.untagAll(x, arn)
			return nil
		}
		return put(x, &d.tags, string(arn), &Tags{ARN: arn, Tags: left})
	})
}

// ResourceTags returns the tags of a user, a role, a managed policy or an IoT
// resource; nil for one that has none, or is not the directory's.
func (d *Directory) ResourceTags(arn strait.ARN) map[string]string {
	if strings.HasPrefix(string(arn), "arn:aws:iot:") {
		return d.IoTTags(arn)
	}
	if !strings.HasPrefix(string(arn), "arn:aws:iam:") {
		return nil
	}
	kind, path, _ := strings.Cut(arn.Resource(), "/")
	name := lower(path[lastSlash(path)+1:])
	switch kind {
	case "user":
		if u := read(d, &d.users, name); u != nil && u.ARN(d.place) == arn {
			return u.Tags
		}
	case "role":
		if r := read(d, &d.roles, name); r != nil && r.ARN(d.place) == arn {
			return r.Tags
		}
	case "policy":
		if p := read(d, &d.managed, string(arn)); p != nil {
			return p.Tags
		}
	}
	return nil
}

// IoTTags returns the tags of an IoT resource.
func (d *Directory) IoTTags(arn strait.ARN) map[string]string {
	if t := read(d, &d.tags, string(arn)); t != nil {
		return t.Tags
	}
	return nil
}
