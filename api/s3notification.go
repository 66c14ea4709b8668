package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"strconv"
	"strings"

	"strait"
	"strait/object/notify"
)

// This file is a bucket's notification configuration. Functions can be told;
// queues and topics of other services and the event bus, which are not here,
// are refused.

type functionTargetXML struct {
	ID       string           `xml:"Id,omitempty"`
	Function string           `xml:"CloudFunction"`
	Event    []string         //
	Filter   *targetFilterXML `xml:",omitempty"`
	Other    strangers        `xml:",any" json:"-"`
}

type targetFilterXML struct {
	Rule  []filterRuleXML `xml:"S3Key>FilterRule"`
	Other strangers       `xml:",any" json:"-"`
}

type filterRuleXML struct{ Name, Value string }

// target reads one configuration.
func (x *functionTargetXML) target() (t notify.Target, err error) {
	if err := x.Other.refused("a notification configuration"); err != nil {
		return t, err
	}
	if x.ID == "" {
		x.ID = rand.Text()
	}
	t = notify.Target{ID: x.ID, Function: strait.ARN(x.Function)}
	for _, e := range x.Event {
		name, ok := strings.CutPrefix(e, "s3:")
		if !ok {
			return t, strait.Errorf(strait.Invalid, "argument", "A specified event is not supported for notifications.")
		}
		t.Events = append(t.Events, name)
	}
	if x.Filter == nil {
		return t, nil
	}
	if err := x.Filter.Other.refused("a notification filter"); err != nil {
		return t, err
	}
	seen := map[string]bool{}
	for _, r := range x.Filter.Rule {
		name := strings.ToLower(r.Name)
		if seen[name] {
			return t, strait.Errorf(strait.Invalid, "argument", "Cannot specify more than one %s rule in a filter.", name)
		}
		seen[name] = true
		switch name {
		case "prefix":
			t.Prefix = r.Value
		case "suffix":
			t.Suffix = r.Value
		default:
			return t, strait.Errorf(strait.Invalid, "argument", "filter rule name must be either prefix or suffix")
		}
	}
	return t, nil
}

type putNotificationInput struct {
	Bucket string `aws:"path,Bucket"`
	Mark   string `aws:"query,notification"`
	Skip   bool   `aws:"header,X-Amz-Skip-Destination-Validation"`
	bodySums
	Configuration struct {
		XMLName  xml.Name            `xml:"NotificationConfiguration"`
		Function []functionTargetXML `xml:"CloudFunctionConfiguration"`
		Other    strangers           `xml:",any"`
	} `aws:"xml"`
}

func (in *putNotificationInput) bucket() string { return in.Bucket }

type notificationXML struct {
	XMLName  xml.Name            `xml:"http://s3.amazonaws.com/doc/2006-03-01/ NotificationConfiguration"`
	Function []functionTargetXML `xml:"CloudFunctionConfiguration"`
}

// readNotification makes targets of their XML; IDs that are missing are made.
func readNotification(xs []functionTargetXML) (c notify.Configuration, err error) {
	for i := range xs {
		t, err := xs[i].target()
		if err != nil {
			return c, err
		}
		c.Targets = append(c.Targets, t)
	}
	if c.Shape, err = json.Marshal(xs); err != nil {
		return c, err
	}
	return c, c.Valid()
}

func (k s3Desk) putNotification(ctx context.Context, call Call, in *putNotificationInput) (*Nothing, error) {
	if in.Configuration.XMLName.Local == "" {
		return nil, malformedXML()
	}
	if err := in.Configuration.Other.refused("a notification configuration"); err != nil {
		return nil, err
	}
	c, err := readNotification(in.Configuration.Function)
	if err != nil {
		return nil, err
	}
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	if err := k.reachable(ctx, call, in, c); err != nil {
		return nil, err
	}
	return nil, k.setting(ctx, in.Bucket, func() error {
		if len(c.Targets) == 0 {
			return k.Notifications.Drop(ctx, in.Bucket)
		}
		return k.Notifications.Set(ctx, in.Bucket, c)
	})
}

// reachable refuses targets that could not be told: those that are not there,
// and those whose permissions do not let S3 invoke them for this bucket.
func (k s3Desk) reachable(ctx context.Context, call Call, in *putNotificationInput, c notify.Configuration) error {
	if in.Skip {
		return nil
	}
	failed := &strait.Error{Kind: strait.Invalid, Thing: "argument", Message: "Unable to validate the following destination configurations"}
	for _, t := range c.Targets {
		err := k.Target(ctx, in.Bucket, t.Function, call.Caller.Trace)
		if err == nil {
			continue
		}
		why := "Not authorized to invoke function [" + string(t.Function) + "]"
		switch strait.KindOf(err) {
		case strait.Denied:
		case strait.NotFound, strait.Invalid:
			why = "The function [" + string(t.Function) + "] does not exist"
		default:
			return err
		}
		if failed.Detail == nil {
			failed.Detail = map[string]string{}
			failed.Message += ": " + why
		}
		n := strconv.Itoa(len(failed.Detail)/2 + 1)
		failed.Detail["ArgumentName"+n], failed.Detail["ArgumentValue"+n] = string(t.Function)+", null", why
	}
	if failed.Detail == nil {
		return nil
	}
	return failed
}

func (k s3Desk) getNotification(ctx context.Context, _ Call, in *bucketInput) (*document[notificationXML], error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	c, ok, err := k.Notifications.Get(ctx, in.Bucket)
	if err != nil {
		return nil, err
	}
	var out notificationXML
	if ok {
		err = json.Unmarshal(c.Shape, &out.Function)
	}
	return xmlOf(out), err
}
