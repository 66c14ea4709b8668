package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"strait"
)

// A postPolicy is what the signer of a POST form lets others upload
// (s3-upload.md, section 8).
type postPolicy struct {
	expires    time.Time
	conditions []postCondition
	limits     postLimits
}

// A postCondition is on one field, by lower-case name.
type postCondition struct {
	prefix      bool // starts-with
	name, value string
}

// postLimits are the sizes that a file may have.
type postLimits struct {
	set         bool
	least, most int64
}

func badPostPolicy(why string) error {
	return strait.Errorf(strait.Invalid, "post policy", "Invalid Policy: %s", why)
}

// parsePostPolicy reads a policy in base64. What it does not understand it
// refuses: a condition that is overlooked would let more in than was signed.
func parsePostPolicy(text string) (p postPolicy, err error) {
	b, err := decodePolicy(text)
	if err != nil {
		return p, err
	}
	// By the exact names: a struct would take "CONDITIONS", too.
	var doc map[string]json.RawMessage
	if json.Unmarshal(b, &doc) != nil {
		return p, badPostPolicy("Invalid JSON.")
	}
	for name := range doc {
		if name != "expiration" && name != "conditions" {
			return p, badPostPolicy("Unexpected: " + strconv.Quote(name))
		}
	}
	var expiration string
	if doc["expiration"] != nil && json.Unmarshal(doc["expiration"], &expiration) != nil {
		return p, badPostPolicy("Invalid JSON.")
	}
	if p.expires, err = time.Parse(time.RFC3339, expiration); err != nil {
		return p, badPostPolicy("Invalid 'expiration' value: '" + strconv.Quote(expiration) + "'")
	}
	var conditions []json.RawMessage
	if doc["conditions"] != nil && json.Unmarshal(doc["conditions"], &conditions) != nil {
		return p, badPostPolicy("Invalid JSON.")
	}
	if conditions == nil {
		return p, badPostPolicy("Policy missing conditions.")
	}
	for _, raw := range conditions {
		if err := p.add(raw); err != nil {
			return postPolicy{}, err
		}
	}
	return p, nil
}

func (p *postPolicy) add(raw json.RawMessage) error {
	var exact map[string]string
	if json.Unmarshal(raw, &exact) == nil && exact != nil {
		if len(exact) != 1 {
			return badPostPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
		}
		for name, value := range exact {
			p.conditions = append(p.conditions, postCondition{name: strings.ToLower(name), value: value})
		}
		return nil
	}
	var list []any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&list) != nil || len(list) != 3 {
		return badPostPolicy("Invalid Condition: " + string(raw))
	}
	kind, ok := list[0].(string)
	if kind = strings.ToLower(kind); kind == "content-length-range" {
		least, ok1 := whole(list[1])
		most, ok2 := whole(list[2])
		if !ok1 || !ok2 {
			return badPostPolicy("Invalid Condition: " + string(raw))
		}
		if p.limits.set { // all conditions hold
			least, most = max(least, p.limits.least), min(most, p.limits.most)
		}
		p.limits = postLimits{true, least, most}
		return nil
	}
	name, ok1 := list[1].(string)
	value, ok2 := list[2].(string)
	name, dollar := strings.CutPrefix(name, "$")
	if !ok || !ok1 || !ok2 || !dollar || kind != "eq" && kind != "starts-with" {
		return badPostPolicy("Invalid Condition: " + string(raw))
	}
	p.conditions = append(p.conditions, postCondition{kind == "starts-with", strings.ToLower(name), value})
	return nil
}

// whole reads a number of bytes, which some clients write as a string.
func whole(v any) (int64, bool) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = v
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && n < math.MaxInt64
}

// uncovered are the fields that no condition must name.
var uncovered = []string{"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"}

// check holds a form to p: every condition is true, and every field is named
// by one.
func (p *postPolicy) check(bucket string, fields map[string]string, now time.Time) (postLimits, error) {
	if !now.Before(p.expires) {
		return postLimits{}, strait.Errorf(strait.Denied, "post policy", "Invalid according to Policy: Policy expired.")
	}
	covered := map[string]bool{}
	for _, c := range p.conditions {
		got, there := fields[c.name]
		if c.name == "bucket" {
			got, there = bucket, true
		}
		covered[c.name] = true
		// An empty prefix lets the field be anything, even absent.
		if c.prefix && (there || c.value == "") && strings.HasPrefix(got, c.value) || !c.prefix && there && got == c.value {
			continue
		}
		kind := "eq"
		if c.prefix {
			kind = "starts-with"
		}
		text, _ := json.Marshal([]string{kind, "$" + c.name, c.value})
		return postLimits{}, strait.Errorf(strait.Denied, "post policy", "Invalid according to Policy: Policy Condition failed: %s", text)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !covered[name] && !slices.Contains(uncovered, name) && !strings.HasPrefix(name, "x-ignore-") {
			return postLimits{}, strait.Errorf(strait.Denied, "post policy", "Invalid according to Policy: Extra input fields: %s", name)
		}
	}
	return p.limits, nil
}
