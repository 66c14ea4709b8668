package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"strings"
	"time"

	"strait"
	"strait/object"
	"strait/object/lifecycle"
)

// This file is a bucket's lifecycle configuration: its XML, in the form of today
// (Filter) and the older one (Prefix), and the rules that it means. What the
// rules cannot say here is refused, whatever element it stands in.

// strangers are elements that a reader does not know: they would be overlooked.
type strangers []struct{ XMLName xml.Name }

// refused says which of them is not offered.
func (s strangers) refused(where string) error {
	if len(s) == 0 {
		return nil
	}
	return strait.Errorf(strait.Unsupported, "element", "The element %.40s of %s is not implemented here.", s[0].XMLName.Local, where)
}

type lifecycleRuleXML struct {
	ID         string              `xml:",omitempty"`
	Prefix     *string             `xml:",omitempty"`
	Filter     *lifecycleFilterXML `xml:",omitempty"`
	Status     string              //
	Expiration *lifecycleExpiryXML `xml:",omitempty"`
	Abort      *lifecycleAbortXML  `xml:"AbortIncompleteMultipartUpload,omitempty"`
	Other      strangers           `xml:",any" json:"-"`
}

type lifecycleFilterXML struct {
	Prefix  *string          `xml:",omitempty"`
	Tag     *tagXML          `xml:",omitempty"`
	Greater *int64           `xml:"ObjectSizeGreaterThan,omitempty"`
	Less    *int64           `xml:"ObjectSizeLessThan,omitempty"`
	And     *lifecycleAndXML `xml:",omitempty"`
	Other   strangers        `xml:",any" json:"-"`
}

type lifecycleAndXML struct {
	Prefix  *string   `xml:",omitempty"`
	Tag     []tagXML  `xml:",omitempty"`
	Greater *int64    `xml:"ObjectSizeGreaterThan,omitempty"`
	Less    *int64    `xml:"ObjectSizeLessThan,omitempty"`
	Other   strangers `xml:",any" json:"-"`
}

type lifecycleExpiryXML struct {
	Days         *int      `xml:",omitempty"`
	Date         *string   `xml:",omitempty"`
	DeleteMarker *bool     `xml:"ExpiredObjectDeleteMarker,omitempty"`
	Other        strangers `xml:",any" json:"-"`
}

type lifecycleAbortXML struct {
	Days  *int      `xml:"DaysAfterInitiation"`
	Other strangers `xml:",any" json:"-"`
}

// rule reads one rule.
func (x *lifecycleRuleXML) rule() (r lifecycle.Rule, err error) {
	if err := x.Other.refused("a lifecycle rule"); err != nil {
		return r, err
	}
	if x.ID == "" {
		x.ID = rand.Text()
	}
	r.ID, r.Disabled = x.ID, x.Status == "Disabled"
	if x.Status != "Enabled" && x.Status != "Disabled" || (x.Prefix == nil) == (x.Filter == nil) {
		return r, malformedXML()
	}
	if x.Prefix != nil {
		r.Filter.Prefix = *x.Prefix
	} else if r.Filter, err = x.Filter.filter(); err != nil {
		return r, err
	}
	if x.Expiration == nil && x.Abort == nil {
		return r, strait.Errorf(strait.Invalid, "request", "At least one action needs to be specified in a rule.")
	}
	if x.Expiration != nil {
		if err := x.Expiration.into(&r); err != nil {
			return r, err
		}
	}
	if x.Abort != nil {
		if err := x.Abort.Other.refused("AbortIncompleteMultipartUpload"); err != nil {
			return r, err
		}
		if x.Abort.Days == nil || *x.Abort.Days < 1 {
			return r, strait.Errorf(strait.Invalid, "argument", "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer")
		}
		r.AbortDays = *x.Abort.Days
	}
	return r, nil
}

// filter reads the one predicate that a filter has, or those under And; an
// empty one takes everything.
func (x *lifecycleFilterXML) filter() (f lifecycle.Filter, err error) {
	if err := x.Other.refused("a lifecycle filter"); err != nil {
		return f, err
	}
	given := 0
	for _, there := range []bool{x.Prefix != nil, x.Tag != nil, x.Greater != nil, x.Less != nil, x.And != nil} {
		if there {
			given++
		}
	}
	if given > 1 {
		return f, malformedXML()
	}
	and := lifecycleAndXML{Prefix: x.Prefix, Greater: x.Greater, Less: x.Less}
	if x.Tag != nil {
		and.Tag = []tagXML{*x.Tag}
	}
	if x.And != nil {
		and = *x.And
	}
	if err := and.Other.refused("a lifecycle filter"); err != nil {
		return f, err
	}
	f = lifecycle.Filter{Prefix: deref(and.Prefix), Greater: and.Greater, Less: and.Less}
	f.Tags, err = tagsXML{Tag: and.Tag}.tags(maxObjectTags)
	return f, err
}

func (x *lifecycleExpiryXML) into(r *lifecycle.Rule) error {
	if err := x.Other.refused("Expiration"); err != nil {
		return err
	}
	marker := x.DeleteMarker != nil
	if !marker && x.Days == nil && x.Date == nil || marker && (x.Days != nil || x.Date != nil) || x.Days != nil && x.Date != nil {
		return malformedXML()
	}
	switch {
	case marker && len(r.Filter.Tags) > 0:
		return strait.Errorf(strait.Invalid, "request", "ExpiredObjectDeleteMarker cannot be specified with Tags.")
	case x.Days != nil && *x.Days < 1:
		return strait.Errorf(strait.Invalid, "argument", "'Days' for Expiration action must be a positive integer")
	case x.Days != nil:
		r.Days = *x.Days
	case x.Date != nil:
		t, err := time.Parse(time.RFC3339, *x.Date)
		if err != nil {
			if t, err = time.Parse(time.DateOnly, *x.Date); err != nil {
				return malformedXML()
			}
		}
		r.Date = t.UTC()
	}
	return nil // there are no delete markers: nothing ever remains of an object
}

type putLifecycleInput struct {
	Bucket  string `aws:"path,Bucket"`
	Mark    string `aws:"query,lifecycle"`
	Minimum string `aws:"header,X-Amz-Transition-Default-Minimum-Object-Size"`
	bodySums
	Configuration struct {
		XMLName xml.Name           `xml:"LifecycleConfiguration"`
		Rule    []lifecycleRuleXML `xml:"Rule"`
		Other   strangers          `xml:",any"`
	} `aws:"xml"`
}

func (in *putLifecycleInput) bucket() string { return in.Bucket }

// lifecycleMinimum is from which size on objects change their storage class,
// which none does here.
const lifecycleMinimum = "all_storage_classes_128K"

type lifecycleOutput struct {
	Minimum string           `aws:"header,x-amz-transition-default-minimum-object-size"`
	XML     *lifecycleResult `aws:"xml"`
}

type lifecycleResult struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LifecycleConfiguration"`
	Rule    []lifecycleRuleXML
}

// readLifecycle makes rules of their XML; IDs that are missing are made.
func readLifecycle(rules []lifecycleRuleXML) (c lifecycle.Configuration, err error) {
	for i := range rules {
		r, err := rules[i].rule()
		if err != nil {
			return c, err
		}
		c.Rules = append(c.Rules, r)
	}
	if c.Shape, err = json.Marshal(rules); err != nil {
		return c, err
	}
	return c, c.Valid()
}

func (k s3Desk) putLifecycle(ctx context.Context, _ Call, in *putLifecycleInput) (*lifecycleOutput, error) {
	if in.Minimum != "" && in.Minimum != lifecycleMinimum {
		return nil, strait.Errorf(strait.Unsupported, "header", "Transitions to other storage classes are not implemented here.")
	}
	if err := in.Configuration.Other.refused("a lifecycle configuration"); err != nil {
		return nil, err
	}
	c, err := readLifecycle(in.Configuration.Rule)
	if err != nil {
		return nil, err
	}
	return &lifecycleOutput{Minimum: lifecycleMinimum}, k.setting(ctx, in.Bucket, func() error { return k.Lifecycle.Set(ctx, in.Bucket, c) })
}

func (k s3Desk) getLifecycle(ctx context.Context, _ Call, in *bucketInput) (*lifecycleOutput, error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	c, ok, err := k.Lifecycle.Get(ctx, in.Bucket)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, strait.Errorf(strait.NotFound, "lifecycle", "The lifecycle configuration does not exist")
	}
	out := &lifecycleOutput{lifecycleMinimum, &lifecycleResult{}}
	return out, json.Unmarshal(c.Shape, &out.XML.Rule)
}

func (k s3Desk) deleteLifecycle(ctx context.Context, _ Call, in *bucketInput) (*Nothing, error) {
	return nil, k.setting(ctx, in.Bucket, func() error { return k.Lifecycle.Drop(ctx, in.Bucket) })
}

// setting changes a setting of a bucket that is there, and that nobody deletes
// or makes anew meanwhile.
func (k s3Desk) setting(ctx context.Context, bucket string, change func() error) error {
	k.making.Lock()
	defer k.making.Unlock()
	if _, err := k.store.Bucket(ctx, bucket); err != nil {
		return err
	}
	return change()
}

// dropSettings forgets all that was set for a bucket of the name.
func (k s3Desk) dropSettings(ctx context.Context, bucket string) error {
	for _, drop := range []func(context.Context, string) error{k.Lifecycle.Drop, k.Notifications.Drop, k.Tags.Drop} {
		if err := drop(ctx, bucket); err != nil {
			return err
		}
	}
	return k.directory.DropResourcePolicy(ctx, strait.S3(bucket))
}

// expiration is the header that tells when a rule removes an object; "" when
// none does. It only informs, so trouble with it is no trouble of the request.
func (k s3Desk) expiration(ctx context.Context, i object.Info) string {
	c, ok, err := k.Lifecycle.Get(ctx, i.Bucket)
	if err != nil || !ok {
		return ""
	}
	at, rule, ok := c.Expires(i)
	if !ok {
		return ""
	}
	return `expiry-date="` + strings.Replace(at.UTC().Format(time.RFC1123), "UTC", "GMT", 1) + `", rule-id="` + awsEscape(rule) + `"`
}
