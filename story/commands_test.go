package story_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are the words that scripts use beyond testscript's own.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"await": await, "until": until, "field": field, "profile": profile, "clock": move, "make": makeFile, "zip": zipFiles, "blocks": blocks,
}

// patience bounds every wait for an event.
const patience = 60 * time.Second

// poll asks until the answer is yes.
func poll(ts *testscript.TestScript, what string, done func() bool) {
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			ts.Fatalf("waited %v in vain: %s", patience, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// await FILE REGEXP waits until a line of a file that a program writes
// matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	var content []byte
	defer func() {
		if !re.Match(content) {
			ts.Logf("%s holds:\n%s", args[0], content)
		}
	}()
	poll(ts, args[1]+" in "+args[0], func() bool {
		content, _ = os.ReadFile(ts.MkAbs(args[0]))
		return re.Match(content)
	})
}

// until PROGRAM ARGUMENT... runs a program until it succeeds.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: until PROGRAM ARGUMENT...")
	}
	poll(ts, strings.Join(args, " "), func() bool { return ts.Exec(args[0], args[1:]...) == nil })
}

// field NAME FILE PATH sets a variable to a field of a JSON document; FILE may
// be stdout, PATH is like Credentials.AccessKeyId, or a dot for the whole text.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: field NAME FILE PATH")
	}
	text := strings.TrimSpace(ts.ReadFile(args[1]))
	if args[2] != "." {
		var v any
		ts.Check(json.Unmarshal([]byte(text), &v))
		for _, name := range strings.Split(args[2], ".") {
			m, _ := v.(map[string]any)
			if v = m[name]; v == nil {
				ts.Fatalf("%s has no %s", args[1], args[2])
			}
		}
		text = fmt.Sprint(v)
	}
	ts.Setenv(args[0], text)
}

// profile NAME FILE makes an AWS profile of the credentials in a JSON
// document, which are AssumeRole's answer or the reply that a device gets.
func profile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: profile NAME FILE")
	}
	var doc struct {
		keys
		Credentials keys
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &doc))
	k := doc.keys
	if k.AccessKeyId == "" {
		k = doc.Credentials
	}
	if k.AccessKeyId == "" || k.SecretAccessKey == "" || k.SessionToken == "" {
		ts.Fatalf("%s holds no credentials", args[1])
	}
	f, err := os.OpenFile(ts.Getenv("AWS_SHARED_CREDENTIALS_FILE"), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = fmt.Fprintf(f, "\n[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", args[0], k.AccessKeyId, k.SecretAccessKey, k.SessionToken)
	ts.Check(err)
	ts.Check(f.Close())
}

type keys struct{ AccessKeyId, SecretAccessKey, SessionToken string }

// clock DURATION sets the server's clock so far from the true time.
func move(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: clock DURATION")
	}
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	ts.Value(clockKey{}).(*clock).added.Store(int64(d))
}

// blocks FILE PAGE writes the shell blocks of a page of the documentation into
// a file.
func blocks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: blocks FILE PAGE")
	}
	page, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(args[1])))
	ts.Check(err)
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(page, -1) {
		all = append(all, string(m[1]))
	}
	if len(all) == 0 {
		ts.Fatalf("%s has no shell blocks", args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(all, "\n")), 0o600))
}

// make FILE BYTES makes a file of so many bytes that do not repeat themselves
// within a part of an upload.
func makeFile(ts *testscript.TestScript, neg bool, args []string) {
	var n int
	if neg || len(args) != 2 {
		ts.Fatalf("usage: make FILE BYTES")
	}
	_, err := fmt.Sscan(args[1], &n)
	ts.Check(err)
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// zip ARCHIVE FILE... makes what the AWS CLI uploads as a function's code.
// NAME=DIR adds what a Node program needs of the modules in DIR below NAME, and
// NAME=FILE a program under another name.
func zipFiles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: zip ARCHIVE FILE...")
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range args[1:] {
		if to, from, ok := strings.Cut(name, "="); ok {
			ts.Check(addTree(w, to, ts.MkAbs(from)))
			continue
		}
		f, err := w.Create(name)
		ts.Check(err)
		_, err = f.Write([]byte(ts.ReadFile(name)))
		ts.Check(err)
	}
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

// addTree adds a program, or a directory of Node's modules but for what only
// compilers and browsers need.
func addTree(w *zip.Writer, to, from string) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "dist-types" || d.Name() == "dist-es" || d.Name() == ".bin" {
				return filepath.SkipDir
			}
			return nil
		}
		name := to
		if file != from {
			if ext := filepath.Ext(file); ext != ".js" && ext != ".cjs" && ext != ".mjs" && ext != ".json" {
				return nil
			}
			rel, err := filepath.Rel(from, file)
			if err != nil {
				return err
			}
			name = path.Join(to, filepath.ToSlash(rel))
		}
		body, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write(body)
		}
		return err
	})
}
