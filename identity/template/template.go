// Package template reads provisioning templates: the documents that say which
// thing, certificate and policies a device gets that comes for the first time.
//
// It turns a template and the parameters of one device into a Plan. It makes
// nothing, asks nobody's permission and knows no registry; whoever carries a
// Plan out does it in the name of the template's role.
//
// Begin with Parse and Template.Plan. What a template may say is in AWS IoT's
// developer guide, "Provisioning templates".
package template

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"strait"
)

// MaxBody is the most characters that a template has (iot-control-plane.md,
// section 8).
const MaxBody = 10240

// maxDepth bounds what is nested: intrinsic functions, and JSON itself.
const maxDepth = 32

// MaxValue is the most bytes that evaluating one value may make.
const MaxValue = 64 << 10

// A Template is a document that was read and found to make sense.
type Template struct {
	parameters map[string]parameter
	mappings   map[string]map[string]map[string]any
	resources  []resource
	device     any // DeviceConfiguration, nil without one
}

type parameter struct {
	Type    string
	Default *string
}

type resource struct {
	name       string // as the template calls it
	Type       string
	Properties map[string]any
	Override   map[string]string `json:"OverrideSettings"`
}

// Types of resources.
const (
	thingType       = "AWS::IoT::Thing"
	certificateType = "AWS::IoT::Certificate"
	policyType      = "AWS::IoT::Policy"
)

// known are the properties of each type of resource.
var known = map[string]string{
	thingType:       " ThingName AttributePayload ThingTypeName ThingGroups ",
	certificateType: " CertificateSigningRequest CertificateId CertificatePem CACertificatePem Status ",
	policyType:      " PolicyName PolicyDocument ",
}

// overrides are the settings of each type, and what they may be.
var overrides = map[string]map[string]string{
	thingType:       {"AttributePayload": " DO_NOTHING REPLACE FAIL MERGE ", "ThingTypeName": " DO_NOTHING REPLACE FAIL ", "ThingGroups": " DO_NOTHING REPLACE FAIL "},
	certificateType: {"Status": " DO_NOTHING REPLACE FAIL "},
}

func invalid(format string, args ...any) error {
	return strait.Errorf(strait.Invalid, "template", "The provisioning template is invalid: "+format+".", args...)
}

// Parse reads a template. What it does not know it refuses: a property that
// would be overlooked could be what narrows a device.
func Parse(text string) (*Template, error) {
	if len([]rune(text)) > MaxBody {
		return nil, invalid("it has more than %d characters", MaxBody)
	}
	var doc struct {
		Parameters          map[string]parameter
		Mappings            map[string]map[string]map[string]any
		Resources           map[string]resource
		DeviceConfiguration any
		Description         string
		Version             string `json:"AWSTemplateFormatVersion"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, invalid("%v", err)
	}
	if d.More() {
		return nil, invalid("something follows the document")
	}
	t := &Template{parameters: doc.Parameters, mappings: doc.Mappings, device: doc.DeviceConfiguration}
	for name, p := range doc.Parameters {
		if p.Type != "String" {
			return nil, invalid("the parameter %s has the type %q; only String is known", name, p.Type)
		}
	}
	if len(doc.Resources) == 0 {
		return nil, invalid("it has no Resources")
	}
	for name, r := range doc.Resources {
		r.name = name
		t.resources = append(t.resources, r)
	}
	sort.Slice(t.resources, func(i, j int) bool { return t.resources[i].name < t.resources[j].name })
	return t, t.check()
}

func (t *Template) check() error {
	count := map[string]int{}
	for _, r := range t.resources {
		if known[r.Type] == "" {
			return invalid("the resource %s has the type %q; known are %s, %s and %s", r.name, r.Type, thingType, certificateType, policyType)
		}
		count[r.Type]++
		if count[r.Type] > 1 && r.Type != policyType {
			return invalid("there is more than one %s", r.Type)
		}
		for p, v := range r.Properties {
			if !strings.Contains(known[r.Type], " "+p+" ") {
				return invalid("the resource %s has the unknown property %q", r.name, p)
			}
			if err := t.checkValue(v, 0); err != nil {
				return err
			}
		}
		for s, v := range r.Override {
			if allowed := overrides[r.Type][s]; allowed == "" || !strings.Contains(allowed, " "+v+" ") {
				return invalid("the resource %s has the override setting %s: %s, which is not known", r.name, s, v)
			}
		}
	}
	if count[certificateType] == 0 {
		return invalid("it has no resource of the type %s", certificateType)
	}
	return t.checkValue(t.device, 0)
}

// checkValue looks at every intrinsic function, so that a template that cannot
// be evaluated is refused when it is stored and not when a device comes.
func (t *Template) checkValue(v any, depth int) error {
	if depth > maxDepth {
		return invalid("it is nested too deep")
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := t.checkValue(e, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, e := range v {
			if k == "Ref" || strings.HasPrefix(k, "Fn::") {
				if len(v) != 1 {
					return invalid("beside %s there is something else", k)
				}
				if err := t.checkCall(k, e); err != nil {
					return err
				}
			}
			if err := t.checkValue(e, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Template) checkCall(name string, arg any) error {
	list, isList := arg.([]any)
	switch name {
	case "Ref":
		s, ok := arg.(string)
		if !ok || !t.refers(s) {
			return invalid("Ref names %v, which is no parameter and no resource", arg)
		}
		return nil
	case "Fn::Join", "Fn::Select", "Fn::Split":
		if isList && len(list) == 2 {
			return nil
		}
	case "Fn::FindInMap":
		if isList && len(list) == 3 {
			return nil
		}
	case "Fn::Sub":
		if _, ok := arg.(string); ok || isList && len(list) == 2 {
			return nil
		}
	default:
		return invalid("the function %s is not known", name)
	}
	return invalid("%s has the wrong arguments", name)
}

// refers tells whether name can be referred to. AWS's own parameters of a
// certificate need not be declared.
func (t *Template) refers(name string) bool {
	if _, ok := t.parameters[name]; ok || strings.HasPrefix(name, "AWS::IoT::Certificate::") {
		return true
	}
	for _, r := range t.resources {
		if r.name == name {
			return true
		}
	}
	return false
}

// Parameters returns the names that the template declares, sorted.
func (t *Template) Parameters() []string {
	out := make([]string, 0, len(t.parameters))
	for n := range t.parameters {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

func missing(name string) error {
	return strait.Errorf(strait.Invalid, "parameter", "The parameter %s has no value.", name)
}

func wrong(format string, args ...any) error {
	return strait.Errorf(strait.Invalid, "parameter", "%s", fmt.Sprintf(format, args...))
}
