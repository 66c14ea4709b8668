package authz_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/authz"
)

// What everyone needed is remembered after a restart, and after a crash, so
// that a policy can be suggested from weeks of it.
func TestUsesSurvive(t *testing.T) {
	h, dir := open(t), filepath.Join(t.TempDir(), "decisions")
	l := h.keep(dir, authz.LogLimits{})
	alice := h.user("alice", doc(allow("s3:PutObject", "*")))
	device := h.device("device00", doc(allow("iot:*", "*")))
	put := func(key string) {
		t.Helper()
		h.check("put", alice, "s3:PutObject", strait.S3("b/"+key), "")
	}
	uses := func(who string) string {
		var out []string
		used, whole := h.Recorder.Uses(who, time.Time{})
		for _, u := range used {
			if u.Request().Principal.Kind == "" {
				t.Errorf("a use without its principal: %+v", u)
			}
			out = append(out, fmt.Sprintf("%s %s %t", u.Action, u.Resource, u.Refused))
		}
		return fmt.Sprint(len(out), whole, strings.Contains(strings.Join(out, "\n"), "s3:GetObject arn:aws:s3:::b/one true"))
	}
	restart := func() {
		h.Recorder = authz.NewRecorder(h.Now)
		l = h.keep(dir, authz.LogLimits{})
	}
	put("one")
	h.check("get", alice, "s3:GetObject", strait.S3("b/one"), "because no")
	h.must(h.Guard(*device).Check("Publish", "iot:Publish", place.IoT("topic/a"), "", false, nil))
	h.must(l.Close())
	restart()
	if got := uses(string(alice.ARN)) + " " + uses("thing/device00"); got != "2 true true 1 true false" {
		t.Errorf("after a restart: %s", got)
	}

	// A crash: what was flushed is there, a line that was cut off harms none.
	put("two")
	l.Flush()
	file := filepath.Join(dir, "uses.jsonl")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	h.must(err)
	_, err = f.WriteString(`{"who":"thing/torn","prin`)
	h.must(err)
	h.must(f.Close())
	restart()
	if got := uses(string(alice.ARN)) + " " + uses("thing/torn"); got != "3 true true 0 true false" {
		t.Errorf("after a crash: %s", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	// The times are those of the last use, also when only that changed.
	h.clock = h.clock.Add(2 * time.Hour)
	put("one")
	l.Flush()
	restart()
	if used, _ := h.Recorder.Uses(string(alice.ARN), h.clock.Add(-time.Minute)); len(used) != 1 {
		t.Errorf("used since: %+v", used)
	}

	// Many: one has its share, and the file stays as large as memory is.
	for i := range 3000 {
		put(fmt.Sprint(i))
		if i%500 == 0 {
			l.Flush()
		}
	}
	l.Flush()
	restart()
	if got, whole := h.Recorder.Uses(string(alice.ARN), time.Time{}); len(got) != 1024 || whole {
		t.Errorf("%d uses, whole %t", len(got), whole)
	}
	if info, err := os.Stat(file); err != nil || info.Size() > 1<<20 {
		t.Errorf("%v bytes, %v", info.Size(), err)
	}

	// A disk that cannot be written costs samples, nothing else.
	h.must(l.Close())
	restart()
	h.must(os.Rename(dir, dir+".away"))
	put("after")
	l.Flush()
	h.must(os.Rename(dir+".away", dir))
	h.must(l.Close())
}
