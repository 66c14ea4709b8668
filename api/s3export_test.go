package api

import (
	"context"
	"encoding/xml"
	"strings"
	"time"

	"strait"
	"strait/object"
	"strait/object/lifecycle"
	"strait/object/notify"
)

// decodeXML reads as the door does.
func decodeXML(text string, into any) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	return xml.NewDecoder(strings.NewReader(text)).Decode(into)
}

func encodeXML(v any) (string, error) {
	b, err := xml.Marshal(v)
	return string(b), err
}

// ReadLifecycle is how a lifecycle configuration is read, and written back.
func ReadLifecycle(text string) (c lifecycle.Configuration, out string, err error) {
	var in putLifecycleInput
	if err = decodeXML(text, &in.Configuration); err == nil {
		err = in.Configuration.Other.refused("it")
	}
	if err != nil {
		return c, "", err
	}
	if c, err = readLifecycle(in.Configuration.Rule); err != nil {
		return c, "", err
	}
	out, err = encodeXML(lifecycleResult{Rule: in.Configuration.Rule})
	return c, out, err
}

// ReadNotification is how a notification configuration is read, and written back.
func ReadNotification(text string) (c notify.Configuration, out string, err error) {
	var in putNotificationInput
	if err = decodeXML(text, &in.Configuration); err == nil {
		err = in.Configuration.Other.refused("it")
	}
	if err != nil || in.Configuration.XMLName.Local == "" {
		return c, "", malformedXML()
	}
	if c, err = readNotification(in.Configuration.Function); err != nil {
		return c, "", err
	}
	out, err = encodeXML(notificationXML{Function: in.Configuration.Function})
	return c, out, err
}

// ReadTags is how tags in XML are read, and written back.
func ReadTags(text string) (tags map[string]string, out string, err error) {
	var in tagsXML
	if err = decodeXML(text, &in); err != nil || in.XMLName.Local == "" {
		return nil, "", malformedXML()
	}
	if tags, err = in.tags(maxObjectTags); err != nil {
		return nil, "", err
	}
	out, err = encodeXML(taggingOf(tags))
	return tags, out, err
}

// ReadTagHeader is how tags in a header are read, and written as XML.
func ReadTagHeader(s string) (tags map[string]string, out string, err error) {
	if tags, err = parseTagging(s); err != nil {
		return nil, "", err
	}
	out, err = encodeXML(taggingOf(tags))
	return tags, out, err
}

// ReadDelete is how keys to delete are read, and what is asked for them.
func ReadDelete(bucket, text string) (keys []string, asks []Ask, err error) {
	in := deleteObjectsInput{Bucket: bucket}
	if err = decodeXML(text, &in.Delete); err != nil {
		return nil, nil, err
	}
	for _, o := range in.Delete.Object {
		keys = append(keys, o.Key)
	}
	asks, err = s3Desk{}.mayDeleteMany(context.Background(), nil, nil, &in)
	return keys, asks, err
}

// ReadParts is how the parts of an upload are read.
func ReadParts(text string) ([]object.CompletePart, error) {
	var in completeUploadInput
	if err := decodeXML(text, &in.Upload); err != nil {
		return nil, err
	}
	return in.parts()
}

// EventOf is what a function is told of an object.
func EventOf(place strait.Place, c *Caller, event, configuration string, i object.Info, now time.Time, sequence int64) []byte {
	return eventOf(place, c, event, configuration, i, now, sequence)
}

// ParseCopySource is how x-amz-copy-source names an object.
func ParseCopySource(s string) (bucket, key string, err error) {
	c, err := parseCopySource(s)
	return c.bucket, c.key, err
}

// ParseRange is how Range selects bytes of an object of that size.
func ParseRange(s string, size int64) (from, n int64, ok bool, err error) { return parseRange(s, size) }

// ParseCopyRange is ParseRange for the source of a part.
func ParseCopyRange(s string, size int64) (from, n int64, err error) { return parseCopyRange(s, size) }

// CheckPost holds a form to a policy in base64.
func CheckPost(policy, bucket string, fields map[string]string, now time.Time) error {
	p, err := parsePostPolicy(policy)
	if err == nil {
		_, err = p.check(bucket, fields, now)
	}
	return err
}
