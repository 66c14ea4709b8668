package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"strait"
	"strait/object"
	"strait/object/notify"
)

// eventMessage is what a function is told of an object: AWS's event message,
// version 2.1, for expiry 2.3 [S3 UG, notification-content-structure].
type eventMessage struct {
	Records [1]eventRecord
}

type eventRecord struct {
	Version  string            `json:"eventVersion"`
	Source   string            `json:"eventSource"`
	Region   string            `json:"awsRegion"`
	Time     string            `json:"eventTime"`
	Name     string            `json:"eventName"`
	User     eventPrincipal    `json:"userIdentity"`
	Request  map[string]string `json:"requestParameters"`
	Response map[string]string `json:"responseElements"`
	S3       eventS3           `json:"s3"`
}

type eventPrincipal struct {
	ID string `json:"principalId"`
}

type eventS3 struct {
	Schema        string      `json:"s3SchemaVersion"`
	Configuration string      `json:"configurationId"`
	Bucket        eventBucket `json:"bucket"`
	Object        eventObject `json:"object"`
}

type eventBucket struct {
	Name  string         `json:"name"`
	Owner eventPrincipal `json:"ownerIdentity"`
	ARN   strait.ARN     `json:"arn"`
}

// An object that is gone has neither size nor tag.
type eventObject struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"eTag,omitempty"`
	Sequencer string `json:"sequencer"`
}

// note returns what makes a change of an object known to those who are to be
// told of it, nil when nobody is.
func (k s3Desk) note(ctx context.Context, c *Caller, event, bucket, key string) (object.Also, error) {
	place := k.directory.Place()
	return k.Notify.Note(ctx, bucket, key, event, c.Trace, func(t notify.Target, i object.Info, sequence int64) []byte {
		return eventOf(place, c, event, t.ID, i, k.now(), sequence)
	})
}

// eventOf writes the message of one event. i is the object that has come, or
// that goes now.
func eventOf(place strait.Place, c *Caller, event, configuration string, i object.Info, now time.Time, sequence int64) []byte {
	r := eventRecord{
		Version: "2.1", Source: "aws:s3", Region: place.Region, Name: event, User: eventPrincipal{principalID(c)},
		Request:  map[string]string{"sourceIPAddress": "s3.amazonaws.com"},
		Response: map[string]string{"x-amz-request-id": c.Request, "x-amz-id-2": c.Request},
		S3: eventS3{Schema: "1.0", Configuration: configuration, Bucket: eventBucket{i.Bucket, eventPrincipal{place.Account}, strait.S3(i.Bucket)},
			Object: eventObject{Key: eventKey(i.Key), Sequencer: fmt.Sprintf("%016X", sequence)}},
	}
	if c.IP.IsValid() {
		r.Request["sourceIPAddress"] = c.IP.Unmap().WithZone("").String()
	}
	switch kind, _, _ := strings.Cut(event, ":"); kind {
	case "ObjectCreated":
		r.S3.Object.Size, r.S3.Object.ETag, now = &i.Size, i.ETag, i.Modified
	case "LifecycleExpiration":
		r.Version = "2.3"
	}
	r.Time = now.UTC().Format("2006-01-02T15:04:05.000Z")
	b, _ := json.Marshal(eventMessage{[1]eventRecord{r}}) // strings and numbers only
	return b
}

// principalID names a caller as event messages do.
func principalID(c *Caller) string {
	switch c.Kind {
	case strait.Anonymous:
		return "Anonymous"
	case strait.Service:
		return c.Name
	}
	return "AWS:" + c.ID
}

// eventKey encodes a key as event messages have it: as a form would, but for
// slashes.
func eventKey(key string) string {
	return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
}

// ExpiryNote returns what a sweep of expired objects notes of each: S3 itself
// is who removes them.
func ExpiryNote(c S3Config) func(ctx context.Context, bucket, key string) (object.Also, error) {
	k := c.desk()
	return func(ctx context.Context, bucket, key string) (object.Also, error) {
		s := k.directory.Service("s3.amazonaws.com", strait.S3(bucket), NewTrace())
		return k.note(ctx, &s, "LifecycleExpiration:Delete", bucket, key)
	}
}
