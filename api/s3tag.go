package api

import (
	"context"
	"encoding/xml"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"strait"
	"strait/policy"
)

// Limits of tags (s3-upload.md, section 3).
const (
	maxObjectTags = 10
	maxBucketTags = 50
	maxTagKey     = 128 // characters
	maxTagValue   = 256
)

// tagsXML is a set of tags as S3's XML has it.
type tagsXML struct {
	XMLName xml.Name `xml:"Tagging"`
	Tag     []tagXML `xml:"TagSet>Tag"`
}

type tagXML struct{ Key, Value string }

// taggingResult is tagsXML in an answer: the set is there even when empty.
type taggingResult struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
	TagSet  struct{ Tag []tagXML }
}

func taggingOf(tags map[string]string) taggingResult {
	var out taggingResult
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out.TagSet.Tag = append(out.TagSet.Tag, tagXML{k, tags[k]})
	}
	return out
}

// tags reads a set, nil when it is empty.
func (x tagsXML) tags(most int) (map[string]string, error) {
	var m map[string]string
	for _, t := range x.Tag {
		if _, twice := m[t.Key]; twice {
			return nil, strait.Errorf(strait.Invalid, "tag", "Cannot provide multiple Tags with the same key")
		}
		if m == nil {
			m = map[string]string{}
		}
		m[t.Key] = t.Value
	}
	return m, validTags(m, most)
}

func validTags(m map[string]string, most int) error {
	if len(m) > most {
		what := "Object tags"
		if most == maxBucketTags {
			what = "Bucket tag count"
		}
		return strait.Errorf(strait.Invalid, "tag count", "%s cannot be greater than %d", what, most)
	}
	for k, v := range m {
		switch {
		case k == "" || utf8.RuneCountInString(k) > maxTagKey || !tagText(k) || strings.HasPrefix(strings.ToLower(k), "aws:"):
			return strait.Errorf(strait.Invalid, "tag", "The TagKey you have provided is invalid")
		case utf8.RuneCountInString(v) > maxTagValue || !tagText(v):
			return strait.Errorf(strait.Invalid, "tag", "The TagValue you have provided is invalid")
		}
	}
	return nil
}

// tagText: letters, digits, spaces and a few signs, of any script [S3 UG,
// object-tagging].
func tagText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r)
	}) < 0
}

// parseTagging reads x-amz-tagging: a=1&b=2, escaped as in a query.
func parseTagging(s string) (map[string]string, error) {
	if s == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(s)
	m := make(map[string]string, len(q))
	for k, vs := range q {
		if len(vs) > 1 || k == "" {
			err = strait.Errorf(strait.Invalid, "argument", "twice")
		}
		m[k] = vs[0]
	}
	if err != nil {
		return nil, badArgument("x-amz-tagging", s, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	return m, validTags(m, maxObjectTags)
}

// tagContext adds the keys that tell of tags in a request.
func tagContext(x policy.Context, tags map[string]string) {
	if len(tags) == 0 {
		return
	}
	for k, v := range tags {
		x.Set("s3:RequestObjectTag/"+k, v)
	}
	x.Set("s3:RequestObjectTagKeys", slices.Sorted(maps.Keys(tags))...)
}

// tagsOf are the tags that an object has now, for the asks only: who may not know
// the object is refused before it is told anything of it.
func (k s3Desk) tagsOf(ctx context.Context, bucket, key string) map[string]string {
	info, err := k.store.Head(ctx, bucket, key)
	if err != nil {
		return nil // what is wrong is told when it is read
	}
	return info.Meta.Tags
}

// existingTags are the keys that tell of the tags that an object has. S3 gives
// them for reading an object and its tags and for changing those, not for
// overwriting or deleting [S3 UG, tagging-and-policies].
func existingTags(tags map[string]string) policy.Context {
	if len(tags) == 0 {
		return nil
	}
	x := policy.Context{}
	for k, v := range tags {
		x.Set("s3:ExistingObjectTag/"+k, v)
	}
	return x
}

// sameTags fails when an object has got other tags than it was asked with.
func sameTags(now, asked map[string]string) error {
	if maps.Equal(now, asked) {
		return nil
	}
	return strait.Errorf(strait.Conflict, "object", "The object's tags have changed meanwhile; try again.")
}

// withTagging are the asks of a write that names tags, too.
func withTagging(asks []Ask, tagging string) ([]Ask, error) {
	tags, err := parseTagging(tagging)
	if err != nil || len(tags) == 0 {
		return asks, err
	}
	if asks[0].Context == nil {
		asks[0].Context = policy.Context{}
	}
	tagContext(asks[0].Context, tags)
	return append(asks, Ask{Action: "s3:PutObjectTagging", Resource: asks[0].Resource, Context: asks[0].Context}), nil
}

type taggingInput struct {
	Bucket    string `aws:"path,Bucket"`
	Key       string `aws:"path,Key"`
	VersionID string `aws:"query,versionId"`

	tags map[string]string // the object's, which were asked with
}

// onTagging asks for one action on the tags of an object.
func (k s3Desk) onTagging(action strait.Action) func(context.Context, View, *Caller, *taggingInput) ([]Ask, error) {
	return func(ctx context.Context, _ View, _ *Caller, in *taggingInput) ([]Ask, error) {
		if err := validVersion(in.VersionID); err != nil {
			return nil, err
		}
		a := action
		if in.VersionID != "" { // s3:GetObjectVersionTagging and its like
			a = strait.Action(strings.Replace(string(action), "ObjectTagging", "ObjectVersionTagging", 1))
		}
		in.tags = k.tagsOf(ctx, in.Bucket, in.Key)
		return askWith(a, strait.S3(in.Bucket+"/"+in.Key), existingTags(in.tags)), nil
	}
}

func (k s3Desk) getTagging(ctx context.Context, _ Call, in *taggingInput) (*document[taggingResult], error) {
	info, err := k.store.Head(ctx, in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	if err := sameTags(info.Meta.Tags, in.tags); err != nil {
		return nil, err
	}
	return xmlOf(taggingOf(info.Meta.Tags)), nil
}

func (k s3Desk) deleteTagging(ctx context.Context, _ Call, in *taggingInput) (*Nothing, error) {
	return nil, k.store.SetTags(ctx, in.Bucket, in.Key, nil)
}

type putTaggingInput struct {
	Bucket    string `aws:"path,Bucket"`
	Key       string `aws:"path,Key"`
	VersionID string `aws:"query,versionId"`
	bodySums
	Tagging tagsXML `aws:"xml"`

	tags map[string]string
}

func (k s3Desk) mayPutTagging(ctx context.Context, v View, c *Caller, in *putTaggingInput) (_ []Ask, err error) {
	if in.Tagging.XMLName.Local == "" {
		return nil, malformedXML()
	}
	if in.tags, err = in.Tagging.tags(maxObjectTags); err != nil {
		return nil, err
	}
	asks, err := k.onTagging("s3:PutObjectTagging")(ctx, v, c, &taggingInput{Bucket: in.Bucket, Key: in.Key, VersionID: in.VersionID})
	for i := range asks {
		if asks[i].Context == nil {
			asks[i].Context = policy.Context{}
		}
		tagContext(asks[i].Context, in.tags)
	}
	return asks, err
}

func (k s3Desk) putTagging(ctx context.Context, _ Call, in *putTaggingInput) (*Nothing, error) {
	return nil, k.store.SetTags(ctx, in.Bucket, in.Key, in.tags)
}

type putBucketTaggingInput struct {
	Bucket string `aws:"path,Bucket"`
	Mark   string `aws:"query,tagging"`
	bodySums
	Tagging tagsXML `aws:"xml"`

	tags map[string]string
}

func (k s3Desk) mayPutBucketTagging(_ context.Context, _ View, _ *Caller, in *putBucketTaggingInput) (_ []Ask, err error) {
	if in.Tagging.XMLName.Local == "" {
		return nil, malformedXML()
	}
	if in.tags, err = in.Tagging.tags(maxBucketTags); err != nil {
		return nil, err
	}
	return askWith("s3:PutBucketTagging", strait.S3(in.Bucket), bucketTagContext(in.tags)), nil
}

// bucketTagContext are the keys that tell of a bucket's tags in a request.
func bucketTagContext(tags map[string]string) policy.Context {
	x := policy.Context{}
	for k, v := range tags {
		x.Set("aws:RequestTag/"+k, v)
	}
	if len(tags) > 0 {
		x.Set("aws:TagKeys", slices.Sorted(maps.Keys(tags))...)
	}
	return x
}

func (k s3Desk) putBucketTagging(ctx context.Context, _ Call, in *putBucketTaggingInput) (*Nothing, error) {
	return nil, k.setting(ctx, in.Bucket, func() error {
		if len(in.tags) == 0 {
			return k.Tags.Drop(ctx, in.Bucket)
		}
		return k.Tags.Set(ctx, in.Bucket, in.tags)
	})
}

func (k s3Desk) getBucketTagging(ctx context.Context, _ Call, in *bucketInput) (*document[taggingResult], error) {
	if _, err := k.store.Bucket(ctx, in.Bucket); err != nil {
		return nil, err
	}
	tags, ok, err := k.Tags.Get(ctx, in.Bucket)
	if err == nil && !ok {
		err = strait.Errorf(strait.NotFound, "tagging", "The TagSet does not exist")
	}
	if err != nil {
		return nil, err
	}
	return xmlOf(taggingOf(tags)), nil
}

func (k s3Desk) deleteBucketTagging(ctx context.Context, _ Call, in *bucketInput) (*Nothing, error) {
	return nil, k.setting(ctx, in.Bucket, func() error { return k.Tags.Drop(ctx, in.Bucket) })
}
