package api_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"strait/api"
	"strait/object"
)

// FuzzLifecycleXML: a configuration that is taken comes back as the same rules,
// and holds nothing that is not carried out.
func FuzzLifecycleXML(f *testing.F) {
	rule := func(s string) string {
		return `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>a</ID>` + s + `<Status>Enabled</Status></Rule></LifecycleConfiguration>`
	}
	const days = `<Expiration><Days>3</Days></Expiration>`
	for _, s := range []string{
		rule(`<Filter/>` + days), rule(`<Prefix>x</Prefix>` + days), rule(`<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>` + days), rule(`<Filter/>` + days + `<Transition><Days>1</Days></Transition>`),
		rule(`<Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>`),
		rule(`<Filter><Prefix/></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>`),
		rule(`<Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>`), rule(`<Filter/><NoncurrentVersionExpiration/>` + days), "<LifecycleConfiguration/>", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, out, err := api.ReadLifecycle(text)
		if err != nil {
			return
		}
		again, _, err := api.ReadLifecycle(out)
		a, _ := json.Marshal(c.Rules)
		b, _ := json.Marshal(again.Rules)
		if err != nil || string(a) != string(b) {
			t.Fatalf("%s\ncame back as %s, %v:\n%s\n%s", text, out, err, a, b)
		}
		for _, known := range []string{"Transition>", "NoncurrentVersionExpiration>"} {
			if dec := xml.NewDecoder(strings.NewReader(text)); strings.Contains(text, "<"+known) && directChild(dec, strings.TrimSuffix(known, ">")) {
				t.Fatalf("%s was taken", text)
			}
		}
	})
}

// directChild tells whether a rule of the document has such an element.
func directChild(dec *xml.Decoder, name string) bool {
	var path []string
	for {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		switch e := tok.(type) {
		case xml.StartElement:
			path = append(path, e.Name.Local)
			if len(path) == 3 && path[1] == "Rule" && path[2] == name {
				return true
			}
		case xml.EndElement:
			if path = path[:len(path)-1]; len(path) == 0 {
				return false
			}
		}
	}
}

// FuzzLifecycleRule: what a rule says is what it does: an object expires exactly
// when prefix, tag and size are those of the filter.
func FuzzLifecycleRule(f *testing.F) {
	f.Add("logs/", "k", "v", int64(5), "logs/a", "v", int64(6))
	f.Add("a", "k", "", int64(0), "b", "", int64(0))
	f.Add("", "k", "v", int64(5), "a", "v", int64(5))
	f.Fuzz(func(t *testing.T, prefix, tag, value string, greater int64, key, has string, size int64) {
		for _, s := range []string{prefix, tag, value} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0xFFFD || r == 0xFFFE || r == 0xFFFF }) {
				t.Skip() // XML cannot carry it
			}
		}
		var text strings.Builder
		element := func(name, s string) {
			text.WriteString("<" + name + ">")
			xml.EscapeText(&text, []byte(s))
			text.WriteString("</" + name + ">")
		}
		text.WriteString("<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Expiration><Days>1</Days></Expiration><Filter><And>")
		element("Prefix", prefix)
		text.WriteString("<Tag>")
		element("Key", tag)
		element("Value", value)
		fmt.Fprintf(&text, "</Tag><ObjectSizeGreaterThan>%d</ObjectSizeGreaterThan></And></Filter></Rule></LifecycleConfiguration>", greater)
		c, _, err := api.ReadLifecycle(text.String())
		if err != nil {
			return
		}
		_, _, got := c.Expires(object.Info{Key: key, Size: size, Modified: time.Unix(0, 0), Meta: object.Meta{Tags: map[string]string{tag: has}}})
		if want := strings.HasPrefix(key, prefix) && has == value && size > greater; got != want {
			t.Fatalf("%s\nof %q with %q=%q, %d bytes: expires %t, want %t", text.String(), key, tag, has, size, got, want)
		}
	})
}

// FuzzNotificationXML: a configuration that is taken comes back as the same
// targets, and nobody is told who was not named.
func FuzzNotificationXML(f *testing.F) {
	for _, s := range []string{
		`<NotificationConfiguration><CloudFunctionConfiguration><Id>a</Id><CloudFunction>arn:f</CloudFunction><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>x/</Value></FilterRule></S3Key></Filter></CloudFunctionConfiguration></NotificationConfiguration>`,
		`<NotificationConfiguration><QueueConfiguration><Queue>arn:q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>`,
		`<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>`, "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, out, err := api.ReadNotification(text)
		if err != nil {
			return
		}
		again, _, err := api.ReadNotification(out)
		a, _ := json.Marshal(c.Targets)
		b, _ := json.Marshal(again.Targets)
		if err != nil || string(a) != string(b) {
			t.Fatalf("%s\ncame back as %s, %v:\n%s\n%s", text, out, err, a, b)
		}
		for _, target := range c.Targets {
			if !strings.Contains(strings.ReplaceAll(text, "\r", ""), string(target.Function)) && !strings.ContainsAny(text, "&<![\r") {
				t.Fatalf("%s tells %s", text, target.Function)
			}
			if len(target.Events) == 0 {
				t.Fatalf("%s: a target that hears of nothing, or of all", text)
			}
		}
	})
}

// FuzzTaggingXML: tags that are taken come back the same, within the limits.
func FuzzTaggingXML(f *testing.F) {
	f.Add("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", "a=b")
	f.Add("<Tagging/>", "a=b&a=c")
	f.Fuzz(func(t *testing.T, text, header string) {
		for _, read := range []func() (map[string]string, string, error){func() (map[string]string, string, error) { return api.ReadTags(text) }, func() (map[string]string, string, error) { return api.ReadTagHeader(header) }} {
			tags, out, err := read()
			if err != nil {
				continue
			}
			if len(tags) > 10 {
				t.Fatalf("%d tags were taken", len(tags))
			}
			for k, v := range tags {
				if k == "" || utf8.RuneCountInString(k) > 128 || utf8.RuneCountInString(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
					t.Fatalf("the tag %q=%q was taken", k, v)
				}
			}
			again, _, err := api.ReadTags(out)
			if err != nil && !strings.ContainsFunc(out, func(r rune) bool { return r == 0xFFFD || r < ' ' }) || err == nil && fmt.Sprint(again) != fmt.Sprint(tags) && !strings.Contains(out, "\uFFFD") {
				t.Fatalf("%q came back as %q of %s: %v", tags, again, out, err)
			}
		}
	})
}

// FuzzDeleteXML: for each key that is named, deleting exactly that key is asked
// for, and nothing else is.
func FuzzDeleteXML(f *testing.F) {
	for _, s := range []string{"<Delete><Object><Key>a//b</Key></Object><Object><Key>..</Key><VersionId>null</VersionId></Object><Quiet>true</Quiet></Delete>",
		"<Delete><Object><Key>k</Key><ETag>x</ETag></Object></Delete>", "<Delete><Object><Key>k</Key><Size>1</Size></Object></Delete>", "<Delete/>", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, asks, err := api.ReadDelete("bucket", text)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > 1000 {
			t.Fatalf("%d keys were taken", len(keys))
		}
		for _, key := range keys {
			if len(asks) == 0 || string(asks[0].Resource) != "arn:aws:s3:::bucket/"+key || !strings.HasPrefix(string(asks[0].Action), "s3:DeleteObject") {
				t.Fatalf("%s: for %q was asked %v", text, key, asks)
			}
			asks = asks[1:]
			if len(asks) > 0 && strings.HasPrefix(string(asks[0].Action), "s3:GetObject") && string(asks[0].Resource) == "arn:aws:s3:::bucket/"+key {
				asks = asks[1:] // its ETag is a condition
			}
		}
		if len(asks) > 0 {
			t.Fatalf("%s: more was asked: %v", text, asks)
		}
	})
}

// FuzzCompleteXML: parts that are named are named in that order, and at most so
// many as there may be.
func FuzzCompleteXML(f *testing.F) {
	f.Add(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part><Part><PartNumber>2</PartNumber><ETag>b</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>`)
	f.Add("<CompleteMultipartUpload/>")
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := api.ReadParts(text)
		if err != nil {
			if len(parts) > 0 {
				t.Fatalf("failed with %d parts", len(parts))
			}
			return
		}
		if len(parts) == 0 || len(parts) > object.MaxParts || len(parts) > strings.Count(text, "Part") {
			t.Fatalf("%d parts of %s", len(parts), text)
		}
		for _, p := range parts {
			if strings.ContainsAny(p.ETag, `"`) && !strings.Contains(strings.Trim(p.ETag, `"`), `"`) {
				t.Fatalf("the ETag %q is quoted", p.ETag)
			}
		}
	})
}
