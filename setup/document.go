package setup

import (
	"bytes"
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"strait"
	"strait/vend"
)

// A statement of a policy document.
type statement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    []string
	Resource  []strait.ARN                 `json:",omitempty"`
	Condition map[string]map[string]string `json:",omitempty"`
}

func document(statements ...statement) string {
	for i := range statements {
		statements[i].Effect = "Allow"
	}
	b, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", statements})
	if err != nil {
		panic(err) // cannot happen: strings only
	}
	return string(b)
}

// trustDocument lets principal, "Service" or "AWS" and its name, assume a role.
func trustDocument(kind, principal string) string {
	return document(statement{Principal: map[string]string{kind: principal}, Action: []string{"sts:AssumeRole"}})
}

// answerDocument is what the function may do: answer these things, and assume
// the upload role. The latter is redundant while that role's trust names the
// function's role, and needed when it names the account.
func answerDocument(p strait.Place, things []string, uploadRole strait.ARN) string {
	var topics []strait.ARN
	for _, t := range things {
		topics = append(topics, p.IoT("topic/"+t+"/token/res"))
	}
	return document(
		statement{Sid: "AnswerThings", Action: []string{"iot:Publish"}, Resource: topics},
		statement{Sid: "AssumeUploadRole", Action: []string{"sts:AssumeRole"}, Resource: []strait.ARN{uploadRole}},
	)
}

// answered are the things that an answerDocument was made for, "*" for all.
// What is no topic of ours is left out.
func answered(p strait.Place, text string) []string {
	var doc struct {
		Statement []struct {
			Sid, Effect string
			Resource    any
		}
	}
	if json.Unmarshal([]byte(text), &doc) != nil {
		return nil // none, or not ours: it is replaced
	}
	before, after := string(p.IoT("topic/")), "/token/res"
	var out []string
	for _, s := range doc.Statement {
		if s.Sid != "AnswerThings" || s.Effect != "Allow" {
			continue
		}
		resources, ok := s.Resource.([]any)
		if !ok {
			resources = []any{s.Resource}
		}
		for _, r := range resources {
			arn, _ := r.(string)
			name, ok := strings.CutPrefix(arn, before)
			if name, has := strings.CutSuffix(name, after); ok && has && (name == "*" || vend.ValidName(name)) {
				out = append(out, name)
			}
		}
	}
	return out
}

// joined is both, sorted; all swallow the rest.
func joined(a, b []string) []string {
	all := slices.Concat(a, b)
	if slices.Contains(all, "*") {
		return []string{"*"}
	}
	sort.Strings(all)
	return slices.Compact(all)
}

func uploadDocument(bucket string, strict bool) string {
	actions := []string{"s3:PutObject"}
	if !strict {
		actions = append(actions, "s3:AbortMultipartUpload")
	}
	return document(statement{Action: actions, Resource: []strait.ARN{strait.S3(bucket + "/*")}})
}

// thingDocument is one policy for every thing of the pattern: the variable is
// the name of the thing that the connection's certificate is attached to.
func thingDocument(p strait.Place) string {
	const thing = "${iot:Connection.Thing.ThingName}"
	allow := func(action, resource string) statement {
		return statement{Action: []string{action}, Resource: []strait.ARN{p.IoT(resource)}}
	}
	return document(
		allow("iot:Connect", "client/"+thing),
		allow("iot:Publish", "topic/"+thing+"/token/req"),
		allow("iot:Subscribe", "topicfilter/"+thing+"/token/res"),
		allow("iot:Receive", "topic/"+thing+"/token/res"),
	)
}

// permissionDocument is the statement that lets the rule call the function, as
// GetPolicy of Lambda has it after AddPermission.
func permissionDocument(p strait.Place, sid string, function, rule strait.ARN) string {
	b, err := json.Marshal(statement{
		Sid: sid, Effect: "Allow", Principal: map[string]string{"Service": "iot.amazonaws.com"}, Action: []string{"lambda:InvokeFunction"},
		Resource: []strait.ARN{function}, Condition: map[string]map[string]string{
			"StringEquals": {"AWS:SourceAccount": p.Account}, "ArnLike": {"AWS:SourceArn": string(rule)}},
	})
	if err != nil {
		panic(err) // cannot happen: strings only
	}
	return string(b)
}

// same tells whether two documents mean the same: the order of members and
// lists does not count, nor whether a single value stands in a list.
func same(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	return text(canonical(x)) == text(canonical(y))
}

func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = canonical(v[k])
		}
	case []any:
		for i := range v {
			v[i] = canonical(v[i])
		}
		if len(v) == 1 {
			return v[0]
		}
		sort.Slice(v, func(i, j int) bool { return text(v[i]) < text(v[j]) })
	}
	return v
}

// text writes members in the order of their names.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // cannot happen: it came from JSON
	}
	return string(b)
}

func indent(doc string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(doc), "", "  ") != nil {
		return doc
	}
	return b.String()
}
