package server_test

import (
	"net/url"
	"strings"
	"testing"
)

// TestShadowWire: the bytes of the shadow operations of IoT Data.
func TestShadowWire(t *testing.T) {
	d := raise(t, "", shadows).desk()
	const one = "/things/lamp/shadow"
	d.ask("GET", one, "")
	d.ask("POST", one, `{"state":{"desired":{"c":{"r":1,"g":[1,{"x":null}]}}}}`)
	d.ask("POST", one, `{"state":{"desired":{"c":{"r":1,"g":[1,{"x":2}]},"t":"<&>"},"reported":{"c":{"r":1.0}}},"clientToken":"tok"}`)
	d.ask("GET", one, "")
	d.ask("POST", one, `{"state":{"desired":{"t":null}},"version":7}`)
	d.ask("POST", one, "{\"state\":{\"desired\":{\"t\":\"\xff\"}}}")
	d.ask("POST", one, `{"state":{"desired":{"t":"`+strings.Repeat("x", 9000)+`"}}}`)
	d.ask("POST", one, `{"state":{"desired":null,"reported":null}}`)
	d.ask("GET", one, "")
	for _, name := range []string{"b", "a", "c"} {
		d.ask("POST", one+"?name="+name, `{"state":{}}`)
	}
	const list = "/api/things/shadow/ListNamedShadowsForThing/lamp"
	d.ask("GET", list, "")
	d.ask("GET", list+"?pageSize=2", "")
	d.ask("GET", list+"?pageSize=2&nextToken=Yg%3D%3D", "")
	d.ask("GET", list+"?pageSize=101", "")
	d.ask("GET", list+"?nextToken=%21", "")
	d.ask("DELETE", one+"?name=a", "")
	d.ask("DELETE", one+"?name=a", "")
	d.ask("GET", "/things/a%20b/shadow", "")
	d.ask("PUT", one, "")
	d.golden("shadows.txt")
}

// role makes a role that service may take.
func (d *desk) role(name, service string) {
	d.Helper()
	d.service = "iam"
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
	form := url.Values{"Action": {"CreateRole"}, "Version": {"2010-05-08"}, "RoleName": {name}, "AssumeRolePolicyDocument": {trust}}
	if status, body := d.ask("POST", "/", form.Encode(), "Content-Type: application/x-www-form-urlencoded"); status != 200 {
		d.Fatalf("create a role: %d %s", status, body)
	}
	d.said.Reset()
}

// TestSchedulerWire: the bytes of EventBridge Scheduler.
func TestSchedulerWire(t *testing.T) {
	d := raise(t, "", shadows).desk()
	d.role("scheduler", "scheduler.amazonaws.com")
	d.role("other", "lambda.amazonaws.com")
	d.service = "scheduler"
	const target = `"Target":{"Arn":"arn:aws:lambda:ap-northeast-1:123456789012:function:f","RoleArn":"arn:aws:iam::123456789012:role/scheduler","Input":"{\"a\":1}"}`
	const off = `"FlexibleTimeWindow":{"Mode":"OFF"},` + target
	d.ask("POST", "/schedules/a", `{"ScheduleExpression":"at(2099-01-02T03:04:05)","ScheduleExpressionTimezone":"Asia/Tokyo","Description":"once","StartDate":4000000000,"ActionAfterCompletion":"DELETE",`+off+`}`)
	d.ask("POST", "/schedules/a", `{"ScheduleExpression":"at(2099-01-02T03:04:05)",`+off+`}`)
	d.ask("GET", "/schedules/a", "")
	d.ask("PUT", "/schedules/a", `{"ScheduleExpression":"cron(0 8 ? * MON-FRI *)","State":"DISABLED","FlexibleTimeWindow":{"Mode":"FLEXIBLE","MaximumWindowInMinutes":5},`+strings.Replace(target, `"Input"`, `"RetryPolicy":{"MaximumRetryAttempts":1,"MaximumEventAgeInSeconds":60},"Input"`, 1)+`}`)
	d.ask("GET", "/schedules/a", "")
	for _, body := range []string{
		`{}`, `{"ScheduleExpression":"rate(5 weeks)",` + off + `}`, `{"ScheduleExpression":"rate(1 days)","FlexibleTimeWindow":{"Mode":"FLEXIBLE"},` + target + `}`,
		`{"ScheduleExpression":"rate(1 days)","ScheduleExpressionTimezone":"Mars/Base",` + off + `}`,
		`{"ScheduleExpression":"rate(1 days)","State":"ON",` + off + `}`,
		`{"ScheduleExpression":"rate(1 days)","KmsKeyArn":"k",` + off + `}`,
		`{"ScheduleExpression":"rate(1 days)","StartDate":4000000000,"EndDate":3000000000,` + off + `}`,
		strings.Replace(`{"ScheduleExpression":"rate(1 days)",`+off+`}`, "role/scheduler", "role/other", 1),
		strings.Replace(`{"ScheduleExpression":"rate(1 days)",`+off+`}`, "arn:aws:lambda", "arn:aws:sqs", 1),
		strings.Replace(`{"ScheduleExpression":"rate(1 days)",`+off+`}`, `{\"a\":1}`, `no JSON`, 1),
		strings.Replace(`{"ScheduleExpression":"rate(1 days)",`+off+`}`, `"Input"`, `"SqsParameters":{"MessageGroupId":"m"},"Input"`, 1),
		strings.Replace(`{"ScheduleExpression":"rate(1 days)",`+off+`}`, `"Input"`, `"RetryPolicy":{"MaximumRetryAttempts":186},"Input"`, 1),
		`{"ScheduleExpression":5}`, `{"ScheduleExpression":"rate(1 days)","GroupName":"none",` + off + `}`,
	} {
		d.ask("POST", "/schedules/b", body)
	}
	d.ask("POST", "/schedules/b%20c", `{"ScheduleExpression":"at(2099-01-02T03:04:05)",`+off+`}`)
	d.ask("POST", "/schedule-groups/g", `{"Tags":[{"Key":"team","Value":"sea"}]}`)
	d.ask("POST", "/schedule-groups/g", `{}`)
	d.ask("GET", "/schedule-groups/g", "")
	d.ask("POST", "/schedules/b", `{"ScheduleExpression":"at(2099-01-02T03:04:05)","GroupName":"g",`+off+`}`)
	d.ask("GET", "/schedules", "")
	d.ask("GET", "/schedules?MaxResults=1", "")
	d.ask("GET", "/schedules?MaxResults=1&NextToken=ZGVmYXVsdC9h", "")
	d.ask("GET", "/schedules?ScheduleGroup=g&NamePrefix=b&State=ENABLED", "")
	d.ask("GET", "/schedules?MaxResults=0", "")
	d.ask("GET", "/schedule-groups", "")
	const arn = "/tags/arn%3Aaws%3Ascheduler%3Aap-northeast-1%3A123456789012%3Aschedule-group%2Fg"
	d.ask("POST", arn, `{"Tags":[{"Key":"k","Value":"v"}]}`)
	d.ask("DELETE", arn+"?TagKeys=team", "")
	d.ask("GET", arn, "")
	d.ask("GET", "/tags/arn%3Aaws%3Ascheduler%3Aap-northeast-1%3A123456789012%3Aschedule%2Fdefault%2Fa", "")
	d.ask("DELETE", "/schedule-groups/g", "")
	d.ask("GET", "/schedules/b?groupName=g", "")
	d.ask("DELETE", "/schedule-groups/default", "")
	d.ask("DELETE", "/schedules/a", "")
	d.ask("DELETE", "/schedules/a", "")
	d.golden("scheduler.txt")
}

// TestEventsWire: the bytes of EventBridge rules.
func TestEventsWire(t *testing.T) {
	d := raise(t, "", shadows).desk()
	d.service = "events"
	ask := func(operation, body string) {
		t.Helper()
		d.said.WriteString(operation + " " + body + "\n")
		d.ask("POST", "/", body, "X-Amz-Target: AWSEvents."+operation, "Content-Type: application/x-amz-json-1.1")
	}
	const f = `"arn:aws:lambda:ap-northeast-1:123456789012:function:f"`
	ask("DescribeRule", `{"Name":"a"}`)
	for _, body := range []string{
		`{"Name":"a"}`, `{"Name":"a","EventPattern":"{}"}`, `{"Name":"a","ScheduleExpression":"rate(5 minute)"}`, `{"Name":"a","ScheduleExpression":"at(2099-01-02T03:04:05)"}`,
		`{"Name":"a","ScheduleExpression":"cron(0 0 * * * *)"}`, `{"Name":"a","ScheduleExpression":"rate(1 day)","RoleArn":"arn:aws:iam::123456789012:role/r"}`,
		`{"Name":"a","ScheduleExpression":"rate(1 day)","EventBusName":"other"}`, `{"Name":"a b","ScheduleExpression":"rate(1 day)"}`, `{"Name":5}`,
		`{"Name":"a","ScheduleExpression":"rate(1 day)","Description":"daily","Tags":[{"Key":"k","Value":"v"}]}`,
		`{"Name":"b","ScheduleExpression":"cron(0 8 ? * MON-FRI *)","State":"DISABLED","EventBusName":"default"}`,
	} {
		ask("PutRule", body)
	}
	ask("DescribeRule", `{"Name":"a"}`)
	ask("PutTargets", `{"Rule":"a","Targets":[{"Id":"1","Arn":`+f+`},{"Id":"2","Arn":`+f+`,"Input":"{}","RetryPolicy":{"MaximumRetryAttempts":2,"MaximumEventAgeInSeconds":90}}]}`)
	ask("PutTargets", `{"Rule":"a","Targets":[{"Id":"1","Arn":"arn:aws:sqs:ap-northeast-1:123456789012:q"}]}`)
	ask("PutTargets", `{"Rule":"a","Targets":[{"Id":"1","Arn":`+f+`,"InputPath":"$.detail"}]}`)
	ask("PutTargets", `{"Rule":"a","Targets":[{"Id":"3","Arn":`+f+`},{"Id":"4","Arn":`+f+`},{"Id":"5","Arn":`+f+`},{"Id":"6","Arn":`+f+`}]}`)
	ask("PutTargets", `{"Rule":"none","Targets":[{"Id":"1","Arn":`+f+`}]}`)
	ask("ListTargetsByRule", `{"Rule":"a"}`)
	ask("ListRuleNamesByTarget", `{"TargetArn":`+f+`}`)
	ask("ListRules", `{}`)
	ask("ListRules", `{"NamePrefix":"b","Limit":1}`)
	ask("EnableRule", `{"Name":"b"}`)
	ask("DisableRule", `{"Name":"a"}`)
	ask("DescribeRule", `{"Name":"a"}`)
	const arn = `"arn:aws:events:ap-northeast-1:123456789012:rule/a"`
	ask("TagResource", `{"ResourceARN":`+arn+`,"Tags":[{"Key":"l","Value":"w"}]}`)
	ask("UntagResource", `{"ResourceARN":`+arn+`,"TagKeys":["k"]}`)
	ask("ListTagsForResource", `{"ResourceARN":`+arn+`}`)
	ask("DeleteRule", `{"Name":"a"}`)
	ask("RemoveTargets", `{"Rule":"a","Ids":["1","2"]}`)
	ask("DeleteRule", `{"Name":"a"}`)
	ask("DeleteRule", `{"Name":"a"}`)
	ask("PutEvents", `{"Entries":[]}`)
	d.golden("events.txt")
}
