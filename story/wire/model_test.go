package wire_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"strait/api"
)

// This file holds answers against AWS's own models of its services, which come
// with botocore where there is one: members, types, statuses and kinds of
// errors. Members that a model does not know are problems only where the model
// is new enough to know all that is offered here.

// models are those of a botocore.
type models struct {
	dir   string
	whole bool // it is new

	mu   sync.Mutex
	read map[string]*model
}

// A model is one service's, as far as answers go.
type model struct {
	Operations map[string]struct {
		HTTP struct {
			Code int `json:"responseCode"`
		}
		Input  *member
		Output *member
		Errors []member
	}
	Shapes map[string]shape
}

type member struct {
	Shape     string
	Wrapper   string `json:"resultWrapper"`
	Where     string `json:"location"`
	Name      string `json:"locationName"`
	Timestamp string `json:"timestampFormat"`
}

type shape struct {
	Type      string
	Members   map[string]member
	Member    member
	Value     member
	Required  []string
	Payload   string
	Enum      []string
	Timestamp string `json:"timestampFormat"`
	Error     *struct {
		Code   string
		Status int `json:"httpStatusCode"`
	}
}

// folders are where botocore keeps the models.
var folders = map[string]string{
	"iot": "iot/2015-05-28", "iotdata": "iot-data/2015-05-28", "iam": "iam/2010-05-08", "sts": "sts/2011-06-15",
	"lambda": "lambda/2015-03-31", "logs": "logs/2014-03-28", "scheduler": "scheduler/2021-06-30", "events": "events/2015-10-07",
}

// botocore finds the newest one, nil when there is none.
func botocore(t *testing.T) *models {
	var best *models
	newest := 0
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.Command(python, "-c", "import botocore,os; print(botocore.__version__, os.path.dirname(botocore.__file__))").Output()
		if err != nil {
			continue
		}
		version, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		_, rest, _ := strings.Cut(version, ".")
		minor, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(minor); err == nil && n > newest {
			newest, best = n, &models{dir: filepath.Join(dir, "data"), whole: n >= 43, read: map[string]*model{}}
		}
	}
	if best == nil {
		t.Log("LEFT OUT: AWS's models, for there is no botocore")
		return nil
	}
	t.Logf("models of botocore 1.%d", newest)
	return best
}

func (m *models) of(service string) *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.read[service]; ok {
		return s
	}
	var s *model
	if b, err := m.bytes(service); err == nil {
		s = new(model)
		if json.Unmarshal(b, s) != nil {
			s = nil
		}
	}
	m.read[service] = s
	return s
}

func (m *models) bytes(service string) ([]byte, error) {
	name := filepath.Join(m.dir, folders[service], "service-2.json")
	if b, err := os.ReadFile(name); err == nil {
		return b, nil
	}
	f, err := os.Open(name + ".gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// common are errors that models do not list, for every operation has them.
var common = regexp.MustCompile(`^(AccessDenied(Exception)?|ForbiddenException|Validation(Error|Exception)|MalformedInput|MissingParameter|InvalidAction|InvalidParameterValue|IncompleteSignature(Exception)?|` +
	`Missing(AuthenticationToken)(Exception)?|InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch|InvalidSignatureException|ExpiredToken(Exception)?|SerializationException|UnknownOperationException|MethodNotAllowedException)$`)

// differs are answers that are not as the model has them, for AWS's own are
// not, or are told here from what would be silently wrong.
var differs = []string{
	"iotdata GetConnection: the model knows no operation", "iotdata ListSubscriptions: the model knows no operation", "iotdata SendDirectMessage: the model knows no operation", // newer than it
	"lambda FetchCode: the model knows no operation",                                                    // where Location of GetFunction leads: S3, with AWS
	"iot RegisterThing: the model has no error ResourceNotFoundException",                               // of what the template names
	"iam CreateRole: the model has no error NoSuchEntity",                                               // of a boundary that is not there
	"iam GetAccessKeyLastUsed: the model has no error NoSuchEntity",                                     // AWS tells nobody whose key it is not
	"iam ListAccessKeys: the model knows no member UserName",                                            // in the reference's own example
	`.PermissionsBoundary.PermissionsBoundaryType: "Policy" is none of`,                                 // as GetRole of AWS answers
	`.SourcePolicyType: "IAM Policy" is none of`, `.SourcePolicyType: "User Managed Policy" is none of`, // likewise the simulators
}

// judge returns what is wrong with an answer of an operation.
func (m *models) judge(s api.Service, operation string, a answer) (problems []string) {
	for _, p := range m.all(s, operation, a) {
		if !slices.ContainsFunc(differs, func(d string) bool { return strings.Contains(s.Name+" "+operation+": "+p, d) }) {
			problems = append(problems, p)
		}
	}
	return problems
}

func (m *models) all(s api.Service, operation string, a answer) []string {
	model := m.of(s.Name)
	if model == nil {
		return nil
	}
	o, ok := model.Operations[operation]
	if !ok {
		if m.whole && m.of(s.Name) != nil {
			return []string{"the model knows no operation " + operation}
		}
		return nil
	}
	j := judge{model: model, whole: m.whole, protocol: s.Protocol}
	if a.status >= 300 {
		j.failure(o.Errors, a)
		return j.problems
	}
	if want := o.HTTP.Code; want != 0 && want != a.status && s.Protocol == "rest-json" && !model.tells(o.Output) {
		j.wrong("", "status %d, and the model has %d", a.status, want)
	}
	if o.Output == nil {
		if s.Protocol == "query" && at(a.doc, operation+"Response."+operation+"Result") != nil {
			j.wrong("", "a result, and the model has none")
		}
		return j.problems
	}
	out, doc := model.Shapes[o.Output.Shape], a.doc
	switch {
	case out.Payload != "" && s.Protocol == "rest-json":
		return j.problems // bytes of anybody
	case s.Protocol == "query":
		doc = at(a.doc, operation+"Response."+o.Output.Wrapper)
		if doc == nil {
			j.wrong("", "no %s", o.Output.Wrapper)
		}
	}
	j.value("", *o.Output, doc)
	return j.problems
}

// tells says whether the status is a member of the output: then it may be any.
func (m *model) tells(output *member) bool {
	if output == nil {
		return false
	}
	for _, o := range m.Shapes[output.Shape].Members {
		if o.Where == "statusCode" {
			return true
		}
	}
	return false
}

// A judge looks through one answer.
type judge struct {
	model    *model
	whole    bool
	protocol string
	problems []string
}

func (j *judge) wrong(where, format string, args ...any) {
	j.problems = append(j.problems, strings.TrimPrefix(where+": "+fmt.Sprintf(format, args...), ": "))
}

func (j *judge) failure(errors []member, a answer) {
	code, _, _ := strings.Cut(a.code, ":")
	for _, e := range errors {
		s := j.model.Shapes[e.Shape]
		name, status := e.Shape, 0
		if s.Error != nil {
			status = s.Error.Status
			if s.Error.Code != "" {
				name = s.Error.Code
			}
		}
		if name != code {
			continue
		}
		if status != 0 && status != a.status {
			j.wrong("", "status %d with %s, and the model has %d", a.status, code, status)
		}
		if j.protocol == "rest-json" {
			j.value("", member{Shape: e.Shape}, a.doc, "decisionId", "message", "Message", "traceId", "Reason", "Type")
		}
		return
	}
	if !common.MatchString(code) && j.whole {
		j.wrong("", "the model has no error %s here", code)
	}
}

// value judges v by the shape of m; but are members that are ours.
func (j *judge) value(where string, m member, v any, but ...string) {
	s := j.model.Shapes[m.Shape]
	if v == "" && j.protocol == "query" && s.Type != "string" {
		switch s.Type { // an element without anything
		case "structure", "list", "map":
			return
		}
	}
	if v == nil {
		if where == "" {
			v = map[string]any{}
		} else {
			return
		}
	}
	switch s.Type {
	case "structure":
		j.structure(where, s, v, but)
	case "list":
		list, ok := v.([]any)
		if !ok {
			j.wrong(where, "want a list, have %T", v)
		}
		for i, e := range list {
			j.value(fmt.Sprintf("%s[%d]", where, i), s.Member, e)
		}
	case "map":
		members, ok := v.(map[string]any)
		if !ok {
			j.wrong(where, "want a map, have %T", v)
		}
		for k, e := range members {
			j.value(where+"."+k, s.Value, e)
		}
	default:
		j.scalar(where, m, s, v)
	}
}

func (j *judge) structure(where string, s shape, v any, but []string) {
	members, ok := v.(map[string]any)
	if !ok {
		j.wrong(where, "want an object, have %T", v)
		return
	}
	known := map[string]member{}
	for name, m := range s.Members {
		if m.Where == "header" || m.Where == "headers" || m.Where == "statusCode" {
			continue
		}
		if m.Name != "" {
			name = m.Name
		}
		known[name] = m
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		m, ok := known[name]
		if !ok {
			if j.whole && !slices.Contains(but, name) {
				j.wrong(where, "the model knows no member %s", name)
			}
			continue
		}
		j.value(where+"."+name, m, members[name])
	}
	for _, name := range s.Required {
		if m := s.Members[name]; m.Name != "" {
			name = m.Name
		}
		if _, ok := members[name]; !ok && j.whole && known[name].Shape != "" && !slices.Contains(but, name) {
			j.wrong(where, "the member %s is missing", name)
		}
	}
}

var dateRE = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)

func (j *judge) scalar(where string, m member, s shape, v any) {
	text, isText := v.(string)
	number, isNumber := v.(float64)
	_, isBool := v.(bool)
	if j.protocol == "query" {
		var err error
		number, err = strconv.ParseFloat(text, 64)
		isNumber, isBool = err == nil, text == "true" || text == "false"
	}
	format := m.Timestamp
	if format == "" {
		format = s.Timestamp
	}
	if format == "" && j.protocol == "query" {
		format = "iso8601"
	}
	ok := true
	switch s.Type {
	case "string", "character":
		ok = isText
		if isText && s.Enum != nil && j.whole && !slices.Contains(s.Enum, text) {
			j.wrong(where, "%q is none of %v", text, s.Enum)
		}
	case "blob":
		_, err := base64.StdEncoding.DecodeString(text)
		ok = isText && err == nil
	case "boolean":
		ok = isBool
	case "integer", "long":
		ok = isNumber && number == math.Trunc(number)
	case "float", "double":
		ok = isNumber
	case "timestamp":
		ok = isNumber
		if format == "iso8601" {
			ok = dateRE.MatchString(text)
		}
	}
	if !ok {
		j.wrong(where, "want a %s, have %v", s.Type, v)
	}
}
