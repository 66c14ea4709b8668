package wire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"strait"
	"strait/api"
	"strait/server"
)

const region = "ap-northeast-1"

// A talk is a server and what was kept of its answers.
type talk struct {
	t       *testing.T
	base    string
	models  *models // nil where botocore is not
	admin   aws.Credentials
	keys    aws.Credentials
	unsaid  bool // requests are not signed
	service api.Service
	names   []string // of variables, in order
	values  map[string]string
	last    any // the latest answer
	props   props
}

func open(t *testing.T) *talk {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(stop)
	s, err := server.Start(ctx, server.Config{Data: t.TempDir(), Place: strait.Place{Region: region, Account: "123456789012"},
		Hosts: []string{"localhost"}, HTTP: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := config.LoadDefaultConfig(ctx, config.WithSharedCredentialsFiles([]string{s.Ready().Credentials}), config.WithSharedConfigFiles(nil), config.WithSharedConfigProfile("default"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	k := &talk{t: t, base: "http://" + s.Ready().HTTP[0], admin: keys, keys: keys, values: map[string]string{}}
	k.set("base", k.base)
	return k
}

// follows tells whether line belongs to the request that the line before it
// is of: a header, JSON, or a parameter.
func follows(line string) bool {
	return followsRE.MatchString(line)
}

var followsRE = regexp.MustCompile(`^(> [A-Za-z0-9-]+: |[{\["]|[A-Z][A-Za-z0-9.]*=)`)

// play repeats a talk, with the answers of now.
func (k *talk) play(text string) string {
	var out strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "< ") {
			continue // the answer of then
		}
		if strings.HasPrefix(line, "> ") {
			request := []string{line}
			for i+1 < len(lines) && follows(lines[i+1]) {
				i++
				request = append(request, lines[i])
			}
			fmt.Fprintln(&out, strings.Join(request, "\n"))
			fmt.Fprintln(&out, k.ask(request))
			continue
		}
		k.do(line)
		out.WriteString(line)
		if i < len(lines)-1 {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// do carries out a line that is no request.
func (k *talk) do(line string) {
	k.t.Helper()
	word, rest, _ := strings.Cut(k.filled(line), " ")
	switch word {
	case "", "#":
	case "service":
		k.service = table(k.t, rest)
	case "as":
		k.as(strings.Fields(rest))
	case "=":
		k.keep(rest)
	default:
		k.prepare(word, strings.Fields(rest))
	}
}

func (k *talk) as(who []string) {
	k.keys, k.unsaid = k.admin, false
	switch {
	case len(who) == 1 && who[0] == "admin":
	case len(who) == 1 && who[0] == "nobody":
		k.unsaid = true
	case len(who) == 2, len(who) == 3:
		k.keys = aws.Credentials{AccessKeyID: who[0], SecretAccessKey: who[1]}
		if len(who) == 3 {
			k.keys.SessionToken = who[2]
		}
	default:
		k.t.Fatalf("as %v: want admin, nobody, or a key, its secret and maybe a token", who)
	}
}

func table(t *testing.T, name string) api.Service {
	t.Helper()
	all := api.Tables()
	i := slices.IndexFunc(all, func(s api.Service) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no service is called %q", name)
	}
	return all[i]
}

func (k *talk) filled(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	for name, v := range k.values {
		s = strings.ReplaceAll(s, "${"+name+"}", v)
	}
	return s
}

// A question is a request as a talk has it.
type question struct {
	method, path string
	header       http.Header
	body         string
}

// read makes a question of its lines.
func (k *talk) read(lines []string) question {
	q := question{header: http.Header{}}
	first, _ := strings.CutPrefix(lines[0], "> ")
	form := url.Values{}
	if name, rest, _ := strings.Cut(k.filled(first), " "); k.service.Protocol == "query" || k.service.Protocol == "json-1.1" {
		q.method, q.path = "POST", "/"
		form.Set("Action", name)
		form.Set("Version", k.service.Version)
		for word := range strings.FieldsSeq(rest) {
			key, v, _ := strings.Cut(word, "=")
			form.Set(key, v)
		}
		if k.service.Protocol == "json-1.1" {
			q.header.Set("X-Amz-Target", k.service.Target+"."+name)
		}
	} else {
		q.method, q.path = name, rest
	}
	for _, line := range lines[1:] {
		line = k.filled(line)
		switch {
		case strings.HasPrefix(line, "> "):
			name, v, _ := strings.Cut(line[2:], ": ")
			q.header.Set(name, v)
		case k.service.Protocol == "query":
			key, v, _ := strings.Cut(line, "=")
			form.Set(key, v)
		default:
			q.body += line
		}
	}
	switch k.service.Protocol {
	case "query":
		q.body = form.Encode()
		q.header.Set("Content-Type", "application/x-www-form-urlencoded")
	case "json-1.1":
		q.header.Set("Content-Type", "application/x-amz-json-1.1")
		if q.body == "" {
			q.body = "{}"
		}
	default:
		if q.body != "" {
			q.header.Set("Content-Type", "application/json")
		}
	}
	return q
}

// ask sends a request and returns its answer as it is written down.
func (k *talk) ask(lines []string) string {
	k.t.Helper()
	q := k.read(lines)
	r, err := http.NewRequest(q.method, k.base+q.path, strings.NewReader(q.body))
	if err != nil {
		k.t.Fatal(err)
	}
	for name, v := range q.header {
		r.Header[name] = v
	}
	if !k.unsaid {
		sum := sha256.Sum256([]byte(q.body))
		if err := v4.NewSigner().SignHTTP(r.Context(), k.keys, r, hex.EncodeToString(sum[:]), k.service.Scopes[0], region, time.Now()); err != nil {
			k.t.Fatal(err)
		}
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		k.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: bytes.TrimSpace(b)}
	if err := a.read(); err != nil {
		k.t.Fatalf("%s: %v", lines[0], err)
	}
	k.last = a.doc
	if problem := a.labelled(k.service.Protocol); problem != "" {
		k.t.Errorf("%s: %s", lines[0], problem)
	}
	o := operation(k.service, lines)
	if k.models != nil && o != nil {
		for _, problem := range k.models.judge(k.service, o.Name, a) {
			k.t.Errorf("%s: %s", k.masked(strings.Join(lines, " ")), problem)
		}
	}
	return k.masked(a.said())
}

// An answer is what came back, read.
type answer struct {
	status int
	header http.Header
	body   []byte
	doc    any    // JSON, or XML as maps and lists
	code   string // of an error
}

func (a *answer) read() (err error) {
	switch t := a.header.Get("Content-Type"); {
	case len(a.body) == 0:
	case strings.HasPrefix(t, "text/xml"):
		a.doc, err = readXML(a.body)
	case t == "application/zip":
		a.body = fmt.Appendf(nil, "%d bytes of a zip", len(a.body))
	default:
		err = json.Unmarshal(a.body, &a.doc)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, a.body)
	}
	a.code = a.header.Get("X-Amzn-ErrorType")
	for _, path := range []string{"__type", "ErrorResponse.Error.Code"} {
		if s, ok := at(a.doc, path).(string); ok && a.code == "" && a.status >= 300 {
			a.code = s
		}
	}
	return nil
}

// labelled returns what is wrong with the headers that every answer has.
func (a *answer) labelled(protocol string) string {
	want := map[string]string{"query": "text/xml", "json-1.1": "application/x-amz-json-1.1", "rest-json": "application/json"}[protocol]
	t := a.header.Get("Content-Type")
	switch {
	case a.header.Get("X-Amzn-RequestId") == "":
		return "the answer has no id"
	case len(a.body) > 0 && t != want && t != "application/zip":
		return "the answer is of the type " + t
	}
	return ""
}

// headers are those that answers tell something with.
var headers = []string{"X-Amz-Executed-Version", "X-Amz-Function-Error", "X-Amz-Log-Result", "Retry-After"}

// said is the answer as lines of a talk.
func (a *answer) said() string {
	said := fmt.Sprintf("< %d", a.status)
	if a.code != "" {
		said += " " + a.code
	}
	if len(a.body) > 0 {
		said += " " + string(a.body)
	}
	for _, name := range headers {
		if v := a.header.Get(name); v != "" {
			if b, err := base64.StdEncoding.DecodeString(v); err == nil && name == "X-Amz-Log-Result" {
				v = strconv.Quote(string(b))
			}
			said += "\n< " + name + ": " + v
		}
	}
	return said
}

// at finds a member by its path, nil for none; numbers count in lists.
func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch c := v.(type) {
		case map[string]any:
			v = c[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(c) {
				return nil
			}
			v = c[i]
		default:
			return nil
		}
	}
	return v
}

func (k *talk) keep(line string) {
	k.t.Helper()
	name, path, _ := strings.Cut(line, " ")
	s, ok := at(k.last, path).(string)
	if !ok {
		k.t.Fatalf("the answer has no member %s: %v", path, k.last)
	}
	k.set(name, s)
	if _, query, ok := strings.Cut(s, "?"); ok {
		k.set(name+".query", query)
	}
}

func (k *talk) set(name, value string) {
	if len(value) >= 16 && !slices.Contains(k.names, name) { // shorter ones are found where they do not stand
		k.names = append(k.names, name)
	}
	k.values[name] = value
}

var masks = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`-----BEGIN [^"]*`), "PEM"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "HEX"},
	{regexp.MustCompile(`"decisionId":"[^"]*"`), `"decisionId":"ID"`},
	{regexp.MustCompile(`<DecisionId>[^<]*<`), "<DecisionId>ID<"},
	{regexp.MustCompile(`"((?i:[a-z]*(?:Date|At|Time|Timestamp|LastModified|expiration|Since|notBefore|notAfter)))":[0-9.]+`), `"$1":TIME`},
	{regexp.MustCompile(`Expires=\d+`), "Expires=TIME"},
	{regexp.MustCompile(`Signature=[\w-]+`), "Signature=SIGNATURE"},
	{regexp.MustCompile(`"eventId":"\d{56}"`), `"eventId":"ID"`},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)`), "TIME"},
	{regexp.MustCompile(`\b(AKIA|ASIA|AIDA|AROA|ANPA)[A-Z2-7]{16,17}\b`), "$1"},
	{regexp.MustCompile(`<SecretAccessKey>[^<]*<`), "<SecretAccessKey>SECRET<"},
	{regexp.MustCompile(`<SessionToken>[^<]*<`), "<SessionToken>TOKEN<"},
	{regexp.MustCompile(`<Marker>[^<]*<`), "<Marker>TOKEN<"},
	{regexp.MustCompile(`"([nN]ext(?:Token|Marker|ForwardToken|BackwardToken))":"[^"]*"`), `"$1":"TOKEN"`},
	{regexp.MustCompile(`(Duration: |Max Memory Used: )[0-9.]+`), "${1}N"},
	{regexp.MustCompile(`/[^" ]*/strait-functions-\d+/code/\w+/`), "CODE/"},
}

func (k *talk) masked(s string) string {
	for _, name := range k.names {
		if len(k.values[name]) >= 16 {
			s = strings.ReplaceAll(s, k.values[name], "${"+name+"}")
		}
	}
	for _, m := range masks {
		s = m.re.ReplaceAllString(s, m.with)
	}
	return s
}
