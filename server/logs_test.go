package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait/await"
	"strait/setup"
)

// line waits until a line of a log group holds text.
func (h *ruleHouse) line(group, text string) setup.LogLine {
	h.t.Helper()
	var found setup.LogLine
	await.Until(h.t, "a line with "+text+" in "+group, func() bool {
		lines, _, err := h.admin.LogLines(h.t.Context(), group, time.Now().Add(-time.Hour), "", "")
		i := slices.IndexFunc(lines, func(l setup.LogLine) bool { return strings.Contains(l.Message, text) })
		if err == nil && i >= 0 {
			found = lines[i]
		}
		return err == nil && i >= 0
	})
	return found
}

// TestLogsAction: a rule writes to a log group as its role, one line or many;
// what it may not, or cannot, comes to the error action.
func TestLogsAction(t *testing.T) {
	h := openRules(t)
	group := func(name string) {
		t.Helper()
		h.must(h.admin.MakeLogGroup(t.Context(), name))
	}
	group("devices")
	group("secret")
	writer := h.role("writer", "iot.amazonaws.com", "logs:*", "arn:aws:logs:*:*:log-group:devices:*")
	store := h.role("store", "iot.amazonaws.com", "s3:PutObject", "arn:aws:s3:::results/*")
	onError := types.Action{S3: &types.S3Action{RoleArn: store, BucketName: aws.String("results"), Key: aws.String("failed/${topic(2)}/${newuuid()}")}}
	write := func(group string, batch bool) types.Action {
		return types.Action{CloudwatchLogs: &types.CloudwatchLogsAction{RoleArn: writer, LogGroupName: &group, BatchMode: &batch}}
	}
	failure := func(prefix string) string {
		t.Helper()
		var key string
		await.Until(t, "a failure of "+prefix, func() bool {
			out, err := h.admin.S3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("results"), Prefix: aws.String("failed/" + prefix)})
			h.must(err)
			if len(out.Contents) > 0 {
				key = *out.Contents[0].Key
			}
			return key != ""
		})
		return h.object(key)
	}
	h.rule("one", "SELECT *, topic(2) AS t FROM 'in/one'", write("${group}", false), &onError)
	h.rule("many", "SELECT * FROM 'in/many'", write("devices", true), &onError)

	h.publish("in/one", `{"group":"devices","n":1}`)
	if l := h.line("devices", `"n":1`); l.Message != `{"group":"devices","n":1,"t":"one"}` || l.Stream != "one" {
		t.Errorf("the line is %+v", l)
	}
	now := time.Now().UnixMilli()
	h.publish("in/many", fmt.Sprintf(`[{"timestamp":%d,"message":"first"},{"timestamp":%d,"message":{"second":2}}]`, now-5000, now-4000))
	if l := h.line("devices", "second"); l.Message != `{"second":2}` || l.Time != now-4000 || l.Stream != "many" {
		t.Errorf("the line is %+v", l)
	}
	if l := h.line("devices", "first"); l.Time != now-5000 {
		t.Errorf("the line is %+v", l)
	}
	h.publish("in/many", `{"timestamp":1}`)
	if got := failure("many"); !strings.Contains(got, `"failedAction":"CloudwatchLogsAction"`) || !strings.Contains(got, "in batch mode the document must be an array") {
		t.Errorf("no batch: %s", got)
	}
	h.publish("in/one", `{"group":"secret"}`)
	if got := failure("one"); !strings.Contains(got, "logs:PutLogEvents on resource: arn:aws:logs:ap-northeast-1:"+ruleAccount+":log-group:secret:log-stream:one") {
		t.Errorf("a group that the role may not write to: %s", got)
	}
	_, err := h.admin.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("writer"), PolicyName: aws.String("writer"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`)})
	h.must(err)
	h.rule("none", "SELECT * FROM 'in/none'", write("no-such-group", false), &onError)
	h.publish("in/none", `{}`)
	if got := failure("none"); !strings.Contains(got, "The specified log group does not exist.") {
		t.Errorf("a group that is not there: %s", got)
	}
}
