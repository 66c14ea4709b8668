package wire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"strait"
	"strait/function"
	"strait/server"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

func TestMain(m *testing.M) {
	function.MaybeSandboxMain()
	os.Exit(m.Run())
}

// A file of testdata is a talk with a fresh server, line by line:
//
//	# a comment
//	service iot               whose requests follow
//	> PUT /things/${name}     a request, its headers and its body
//	> X-Amzn-Principal: ${arn}
//	{"a": 1}
//	< 200 ...                 the answer: status, kind of error, body
//	= name member.member      keeps a member of the answer as a variable
//
// In answers, what differs each time is written as ID, TIME, HEX, PEM, or as
// the variable that it is.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no talks: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := open(t).play(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			have, want := strings.Split(got, "\n"), strings.Split(string(text), "\n")
			for i := range min(len(have), len(want)) {
				if have[i] != want[i] {
					t.Fatalf("%s:%d:\ngot  %s\nwant %s", file, i+1, have[i], want[i])
				}
			}
			if len(have) != len(want) {
				t.Fatalf("%s: %d lines, want %d", file, len(have), len(want))
			}
		})
	}
}

// A talk is a server and what was kept of its answers.
type talk struct {
	t       *testing.T
	base    string
	keys    aws.Credentials
	service string
	names   []string // of variables, in order
	values  map[string]string
	last    map[string]any // the latest answer
}

func open(t *testing.T) *talk {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(stop)
	s, err := server.Start(ctx, server.Config{Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"},
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
	return &talk{t: t, base: "http://" + s.Ready().HTTP[0], keys: keys, values: map[string]string{}}
}

// play repeats a talk, with the answers of now.
func (k *talk) play(text string) string {
	var out strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.HasPrefix(line, "< "):
			continue // the answer of then
		case strings.HasPrefix(line, "service "):
			k.service = strings.TrimPrefix(line, "service ")
		case strings.HasPrefix(line, "= "):
			k.keep(strings.TrimPrefix(line, "= "))
		case strings.HasPrefix(line, "> "):
			request := []string{line}
			for i+1 < len(lines) && (strings.HasPrefix(lines[i+1], "> ") && strings.Contains(lines[i+1], ": ") || strings.HasPrefix(lines[i+1], "{")) {
				i++
				request = append(request, lines[i])
			}
			fmt.Fprintln(&out, strings.Join(request, "\n"))
			fmt.Fprintln(&out, k.ask(request))
			continue
		}
		out.WriteString(line)
		if i < len(lines)-1 {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func (k *talk) filled(s string) string {
	for name, v := range k.values {
		s = strings.ReplaceAll(s, "${"+name+"}", v)
	}
	return s
}

// ask sends a request and returns its answer as it is written down.
func (k *talk) ask(lines []string) string {
	k.t.Helper()
	method, path, _ := strings.Cut(strings.TrimPrefix(k.filled(lines[0]), "> "), " ")
	body := ""
	header := http.Header{}
	for _, line := range lines[1:] {
		line = k.filled(line)
		if name, value, ok := strings.Cut(strings.TrimPrefix(line, "> "), ": "); ok && line[0] == '>' {
			header.Set(name, value)
		} else {
			body += line
		}
	}
	r, err := http.NewRequest(method, k.base+path, strings.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	for name, v := range header {
		r.Header[name] = v
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(r.Context(), k.keys, r, hex.EncodeToString(sum[:]), k.service, "ap-northeast-1", time.Now()); err != nil {
		k.t.Fatal(err)
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
	k.last = map[string]any{}
	if err := json.Unmarshal(b, &k.last); err != nil && len(b) > 0 {
		k.t.Fatalf("%s %s: %v: %s", method, path, err, b)
	}
	said := fmt.Sprintf("< %d", res.StatusCode)
	if e := res.Header.Get("X-Amzn-ErrorType"); e != "" {
		said += " " + e
	}
	return said + " " + k.masked(string(bytes.TrimSpace(b)))
}

func (k *talk) keep(line string) {
	k.t.Helper()
	name, path, _ := strings.Cut(line, " ")
	var v any = k.last
	for member := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[member]
	}
	s, ok := v.(string)
	if !ok {
		k.t.Fatalf("the answer has no member %s: %v", path, k.last)
	}
	if k.values[name] == "" {
		k.names = append(k.names, name)
	}
	k.values[name] = s
}

var masks = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`-----BEGIN [^"]*`), "PEM"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "HEX"},
	{regexp.MustCompile(`"([a-zA-Z]*(?:Date|At))":[0-9.]+`), `"$1":TIME`},
	{regexp.MustCompile(`"notBefore":[0-9.]+`), `"notBefore":TIME`},
	{regexp.MustCompile(`"nextToken":"[^"]*"`), `"nextToken":"TOKEN"`},
	{regexp.MustCompile(`"nextMarker":"[^"]*"`), `"nextMarker":"TOKEN"`},
}

func (k *talk) masked(s string) string {
	for _, name := range k.names {
		s = strings.ReplaceAll(s, k.values[name], "${"+name+"}")
	}
	for _, m := range masks {
		s = m.re.ReplaceAllString(s, m.with)
	}
	return s
}
