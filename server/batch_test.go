package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"strait/await"
)

// TestHTTPBatch: an http action may gather documents into JSON arrays, within
// its bounds and, unless told otherwise, of one topic; each message is
// acknowledged, and reported when it fails, by itself.
func TestHTTPBatch(t *testing.T) {
	h := openRules(t)
	type post struct {
		path, kind string
		docs       []string
	}
	tokens, posts := make(chan string, 1), make(chan post, 100)
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("confirmationToken"); token != "" {
			tokens <- token
			return
		}
		var docs []struct{ ID string }
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &docs); err != nil {
			t.Errorf("posted %s: %v", b, err)
		}
		p := post{path: r.URL.Path, kind: r.Header.Get("Content-Type")}
		for _, d := range docs {
			p.docs = append(p.docs, d.ID)
		}
		posts <- p
		if r.URL.Path == "/confirm/bad" {
			w.WriteHeader(400)
		}
	}))
	t.Cleanup(there.Close)
	_, err := h.admin.IoT.CreateTopicRuleDestination(t.Context(), &iot.CreateTopicRuleDestinationInput{DestinationConfiguration: &types.TopicRuleDestinationConfiguration{
		HttpUrlConfiguration: &types.HttpUrlDestinationConfiguration{ConfirmationUrl: aws.String(there.URL + "/confirm")},
	}})
	h.must(err)
	token := <-tokens
	_, err = h.admin.IoT.ConfirmTopicRuleDestination(t.Context(), &iot.ConfirmTopicRuleDestinationInput{ConfirmationToken: &token})
	h.must(err)
	store := h.role("store", "iot.amazonaws.com", "s3:PutObject", "arn:aws:s3:::results/*")
	failed := types.Action{S3: &types.S3Action{RoleArn: store, BucketName: aws.String("results"), Key: aws.String("failed-${id}")}}
	batch := func(name string, c types.BatchConfig) types.Action {
		return types.Action{Http: &types.HttpAction{Url: aws.String(there.URL + "/confirm/" + name), ConfirmationUrl: aws.String(there.URL + "/confirm"), EnableBatching: aws.Bool(true), BatchConfig: &c}}
	}
	slow := types.BatchConfig{MaxBatchOpenMs: aws.Int32(200), MaxBatchSize: aws.Int32(3)}
	across := slow
	across.BatchAcrossTopics = true
	h.rule("single", "SELECT id FROM 'in/single/+'", batch("single", slow), nil)
	h.rule("across", "SELECT id FROM 'in/across/+'", batch("across", across), nil)
	h.rule("small", "SELECT id, pad FROM 'in/small'", batch("small", types.BatchConfig{MaxBatchOpenMs: aws.Int32(200), MaxBatchSizeBytes: aws.Int32(100)}), nil)
	h.rule("bad", "SELECT id FROM 'in/bad'", batch("bad", slow), &failed)

	// gathered publishes and returns the arrays that all messages came in.
	gathered := func(name string, n int, topic func(i int) string, more string) []post {
		t.Helper()
		for i := range n {
			h.publish(topic(i), fmt.Sprintf(`{"id":"%s-%d"%s}`, topic(i)[strings.LastIndex(topic(i), "/")+1:], i, more))
		}
		var all []post
		seen := map[string]int{}
		for len(seen) < n {
			select {
			case p := <-posts:
				if p.path != "/confirm/"+name || p.kind != "application/json" || len(p.docs) == 0 || len(p.docs) > 3 {
					t.Errorf("%s: posted %+v", name, p)
				}
				for _, id := range p.docs {
					if seen[id]++; seen[id] > 1 {
						t.Errorf("%s: %s came twice", name, id)
					}
				}
				all = append(all, p)
			case <-time.After(await.Patience):
				t.Fatalf("%s: only %v came", name, seen)
			}
		}
		return all
	}
	// mixed counts arrays with documents of several topics.
	mixed := func(all []post) (n int) {
		for _, p := range all {
			for _, id := range p.docs {
				if id[0] != p.docs[0][0] {
					n++
					break
				}
			}
		}
		return n
	}
	turns := func(name string) func(int) string {
		return func(i int) string { return "in/" + name + "/" + string("ab"[i%2]) }
	}
	if all := gathered("single", 12, turns("single"), ""); len(all) == 12 || mixed(all) > 0 {
		t.Errorf("single: %d arrays for 12 documents, %d of several topics: %v", len(all), mixed(all), all)
	}
	if all := gathered("across", 12, turns("across"), ""); len(all) == 12 || mixed(all) == 0 {
		t.Errorf("across: %d arrays for 12 documents, %d of several topics: %v", len(all), mixed(all), all)
	}
	for _, p := range gathered("small", 6, func(int) string { return "in/small" }, `,"pad":"`+strings.Repeat("x", 40)+`"`) {
		if len(p.docs) > 1 { // two have more than 100 bytes
			t.Errorf("small: posted %+v", p)
		}
	}
	gathered("bad", 3, func(int) string { return "in/bad" }, "")
	for i := range 3 {
		if got := h.object(fmt.Sprintf("failed-bad-%d", i)); !strings.Contains(got, `"failedAction":"HttpAction"`) || !strings.Contains(got, "answered 400") {
			t.Errorf("bad: the error action got %s", got)
		}
	}

	for _, c := range []types.BatchConfig{{MaxBatchOpenMs: aws.Int32(4)}, {MaxBatchSize: aws.Int32(1)}, {MaxBatchSize: aws.Int32(11)}, {MaxBatchSizeBytes: aws.Int32(99)}, {MaxBatchOpenMs: aws.Int32(0)}} {
		_, err := h.admin.IoT.CreateTopicRule(t.Context(), &iot.CreateTopicRuleInput{RuleName: aws.String("out"), TopicRulePayload: &types.TopicRulePayload{Sql: aws.String("SELECT * FROM 'x'"), Actions: []types.Action{batch("x", c)}}})
		if err == nil || !strings.Contains(err.Error(), "InvalidRequestException") || !strings.Contains(err.Error(), "maxBatch") {
			t.Errorf("a batch out of bounds: got %v", err)
		}
	}
}
