package api_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"strait"
	"strait/api"
	"strait/object"
)

// TestEvent: the message is AWS's, member by member [S3 UG,
// notification-content-structure]. Of an object that is gone, neither size nor
// tag is told.
func TestEvent(t *testing.T) {
	c := &api.Caller{Principal: strait.Principal{Kind: strait.AssumedRole, ID: "AROAX:device00"}, IP: netip.MustParseAddr("::ffff:192.0.2.1"), Request: "R1"}
	i := object.Info{Bucket: "uploads", Key: "device00/red flower+ä.jpg", Size: 1024, ETag: "d41d8cd98f00b204e9800998ecf8427e",
		Modified: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)}
	place := strait.Place{Region: "ap-northeast-1", Account: "123456789012"}
	now := i.Modified.Add(time.Hour)
	for event, want := range map[string]string{
		"ObjectCreated:Put": `{"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "ap-northeast-1", "eventTime": "2026-01-02T03:04:05.678Z",
			"eventName": "ObjectCreated:Put", "userIdentity": {"principalId": "AWS:AROAX:device00"}, "requestParameters": {"sourceIPAddress": "192.0.2.1"},
			"responseElements": {"x-amz-id-2": "R1", "x-amz-request-id": "R1"}, "s3": {"s3SchemaVersion": "1.0", "configurationId": "c1",
			"bucket": {"name": "uploads", "ownerIdentity": {"principalId": "123456789012"}, "arn": "arn:aws:s3:::uploads"},
			"object": {"key": "device00/red+flower%2B%C3%A4.jpg", "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "00000000000000FF"}}}]}`,
		"ObjectRemoved:Delete": `{"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "ap-northeast-1", "eventTime": "2026-01-02T04:04:05.678Z",
			"eventName": "ObjectRemoved:Delete", "userIdentity": {"principalId": "AWS:AROAX:device00"}, "requestParameters": {"sourceIPAddress": "192.0.2.1"},
			"responseElements": {"x-amz-id-2": "R1", "x-amz-request-id": "R1"}, "s3": {"s3SchemaVersion": "1.0", "configurationId": "c1",
			"bucket": {"name": "uploads", "ownerIdentity": {"principalId": "123456789012"}, "arn": "arn:aws:s3:::uploads"},
			"object": {"key": "device00/red+flower%2B%C3%A4.jpg", "sequencer": "00000000000000FF"}}}]}`,
	} {
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got := api.EventOf(place, c, event, "c1", i, now, 255); string(got) != compact.String() {
			t.Errorf("%s: got\n%s\nwant\n%s", event, got, compact.String())
		}
	}
}
