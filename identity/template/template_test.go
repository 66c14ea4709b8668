package template_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"strait"
	"strait/identity/template"
)

// fleet is a template as users write it for fleet provisioning.
const fleet = `{
 "Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}, "Site": {"Type": "String", "Default": "tokyo"}},
 "Mappings": {"Sites": {"tokyo": {"Group": "asia"}, "berlin": {"Group": "europe"}}},
 "Resources": {
  "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"}},
  "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}},
  "thing": {"Type": "AWS::IoT::Thing", "OverrideSettings": {"AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING"},
   "Properties": {"ThingName": {"Fn::Join": ["-", ["cam", {"Ref": "SerialNumber"}]]}, "ThingGroups": [{"Fn::FindInMap": ["Sites", {"Ref": "Site"}, "Group"]}],
    "AttributePayload": {"serial": {"Ref": "SerialNumber"}, "short": {"Fn::Select": [1, {"Fn::Split": ["/", {"Ref": "SerialNumber"}]}]}, "label": {"Fn::Sub": "${Site}:${!literal}"}}}}},
 "DeviceConfiguration": {"Url": {"Fn::Sub": ["https://${Host}/${Site}", {"Host": "example.com"}]}, "Plain": [1, true]}
}`

func TestPlan(t *testing.T) {
	tpl, err := template.Parse(fleet)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tpl.Plan(map[string]string{"SerialNumber": "a/42", "AWS::IoT::Certificate::Id": "c0ffee"})
	if err != nil {
		t.Fatal(err)
	}
	want := &template.Plan{
		Thing: &template.Thing{Name: "cam-a/42", Groups: []string{"asia"}, Attributes: map[string]string{"serial": "a/42", "short": "42", "label": "tokyo:${literal}"},
			OnAttributes: template.Merge, OnGroups: template.Nothing},
		Certificate: template.Certificate{ID: "c0ffee", Status: "ACTIVE"},
		Policies:    []template.Policy{{Name: "device"}},
		Device:      map[string]any{"Url": "https://example.com/tokyo", "Plain": []any{1.0, true}},
		Names:       template.Names{Thing: "thing", Certificate: "certificate", Policies: []string{"policy"}},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v %+v\nwant %+v %+v", p, p.Thing, want, want.Thing)
	}
	if _, err := tpl.Plan(map[string]string{"AWS::IoT::Certificate::Id": "c"}); strait.KindOf(err) != strait.Invalid || !strings.Contains(err.Error(), "SerialNumber") {
		t.Errorf("without a value: got %v", err)
	}
}

// TestRefused: what a template says that is not known is refused when it is
// stored, not overlooked.
func TestRefused(t *testing.T) {
	resources := func(s string) string { return `{"Resources": {` + s + `}}` }
	const crt = `"c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": "x"}}`
	for name, c := range map[string]struct{ text, says string }{
		"no JSON":             {`{`, "unexpected"},
		"more than JSON":      {`{"Resources": {` + crt + `}} x`, "follows"},
		"unknown section":     {`{"Outputs": {}, "Resources": {` + crt + `}}`, "Outputs"},
		"no resources":        {`{}`, "no Resources"},
		"no certificate":      {resources(`"t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "x"}}`), "AWS::IoT::Certificate"},
		"unknown type":        {resources(crt + `, "r": {"Type": "AWS::IAM::Role"}`), "AWS::IAM::Role"},
		"unknown property":    {resources(crt + `, "t": {"Type": "AWS::IoT::Thing", "Properties": {"BillingGroup": "b"}}`), "BillingGroup"},
		"unknown setting":     {resources(`"c": {"Type": "AWS::IoT::Certificate", "OverrideSettings": {"Status": "MERGE"}}`), "MERGE"},
		"two certificates":    {resources(crt + `, "d": {"Type": "AWS::IoT::Certificate"}`), "more than one"},
		"unknown function":    {resources(`"c": {"Type": "AWS::IoT::Certificate", "Properties": {"Status": {"Fn::If": []}}}`), "Fn::If"},
		"function and more":   {resources(`"c": {"Type": "AWS::IoT::Certificate", "Properties": {"Status": {"Ref": "c", "x": 1}}}`), "something else"},
		"unknown reference":   {resources(`"c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "nobody"}}}`), "nobody"},
		"number as parameter": {`{"Parameters": {"n": {"Type": "Number"}}, "Resources": {` + crt + `}}`, "Number"},
		"too long":            {strings.Repeat(" ", template.MaxBody+1), "characters"},
	} {
		if _, err := template.Parse(c.text); strait.KindOf(err) != strait.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want an error about %q", name, err, c.says)
		}
	}
}

// FuzzPlan: whatever a stranger's template and parameter are, there is no
// panic, a plan is the same twice, and its values are bounded.
func FuzzPlan(f *testing.F) {
	f.Add(fleet, "a/42")
	f.Add(`{"Parameters":{"SerialNumber":{"Type":"String"}},"Resources":{"c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificatePem":{"Fn::Join":["x",["a",{"Ref":"SerialNumber"}]]}}}}}`, "**")
	f.Add(`{"Mappings":{"m":{"a":{"b":"`+strings.Repeat("y", 6000)+`"}}},"Resources":{"c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":"x"}},"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t","ThingGroups":[`+strings.Repeat(`{"Fn::FindInMap":["m","a","b"]},`, 99)+`"g"]}}}}`, "v")
	f.Fuzz(func(t *testing.T, text, value string) {
		tpl, err := template.Parse(text)
		if err != nil {
			if strait.KindOf(err) != strait.Invalid {
				t.Fatalf("got %v, which is not the caller's fault", err)
			}
			return
		}
		values := map[string]string{"AWS::IoT::Certificate::Id": value}
		for _, n := range tpl.Parameters() {
			values[n] = value
		}
		p, err := tpl.Plan(values)
		q, again := tpl.Plan(values)
		if (err == nil) != (again == nil) || err == nil && !reflect.DeepEqual(p, q) {
			t.Fatalf("two plans differ: %v %v", err, again)
		}
		if err != nil {
			return
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if most := 6*(template.MaxValue+len(text)) + 4096; len(b) > most {
			t.Fatalf("a plan of %d bytes from %d", len(b), len(text))
		}
	})
}
