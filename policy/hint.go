package policy

import (
	"fmt"
	"strings"
)

// absentHint says when a key has a value at all, for those that people trip
// over; "" for others.
func absentHint(key string) string {
	switch key = strings.ToLower(key); {
	case strings.HasPrefix(key, "iot:connection.thing."):
		return "it has one on MQTT only, when the client id is the name of a thing or the certificate is attached to one exclusively"
	case strings.HasPrefix(key, certificateKeys):
		return "the certificate lacks this field, or the caller has no certificate"
	case key == "aws:username":
		return "only IAM users have it, role sessions do not; aws:userid works for both"
	case key == "aws:sourcearn", key == "aws:sourceaccount":
		return "only calls that a service makes for a resource have it"
	case key == "sts:externalid":
		return "the call to AssumeRole has to pass an ExternalId"
	case key == "aws:tokenissuetime", key == "aws:multifactorauthpresent":
		return "only temporary credentials have it"
	}
	return ""
}

// confusion names a common mix-up that would explain a resource missed; "" when
// there is none.
func confusion(action, want, found string) string {
	_, name, _ := strings.Cut(strings.ToLower(action), ":")
	wanted, asked := lastPart(want), lastPart(found)
	switch {
	case name == "subscribe" && strings.HasPrefix(wanted, "topic/"):
		return "Subscribe is asked on topicfilter/..., not on topic/..."
	case (name == "publish" || name == "receive" || name == "retainpublish") && strings.HasPrefix(wanted, "topicfilter/"):
		return "Publish and Receive are asked on topic/..., not on topicfilter/..."
	case strings.ContainsAny(wanted, "+#") && strings.HasPrefix(asked, "topic"):
		return "In a policy + and # are plain characters; the wildcard is *"
	case strings.HasPrefix(found, "arn:aws:s3:::") && !strings.Contains(asked, "/") && strings.HasPrefix(wanted, asked+"/"):
		return "This action is asked on the bucket itself, not on its objects"
	case strings.HasPrefix(found, "arn:aws:s3:::") && strings.HasPrefix(asked, wanted+"/"):
		return "This action is asked on the object; the bucket's ARN alone does not cover it, " + want + "/* would"
	}
	return ""
}

func lastPart(arn string) string {
	parts := strings.SplitN(arn, ":", segments)
	return parts[len(parts)-1]
}

// beside says which action belongs to another that people allow without it.
func beside(action string) string {
	switch strings.ToLower(action) {
	case "iot:retainpublish":
		return " It is asked besides iot:Publish when a message or will is retained."
	case "iot:receive":
		return " It is asked for each message delivered; iot:Subscribe alone brings none."
	case "sts:tagsession", "sts:setsourceidentity":
		return " It is asked besides sts:AssumeRole when tags or a source identity are passed."
	}
	return ""
}

// why says what made a statement match: its conditions and its variables. It
// is "" when there are none.
func (s Set) why(reason Reason, r Request) string {
	st := s.find(reason)
	if st == nil {
		return ""
	}
	var out []string
	for _, a := range st.resources {
		_, notes := a.show(r.Context)
		out = append(out, notes...)
	}
	for i := range st.conditions {
		c := &st.conditions[i]
		_, why := c.holds(r.Context, st.deny)
		m := c.miss(r.Context, why)
		found := "has no value"
		if m.Found != "" {
			found = "is " + quote(m.Found)
		}
		text := fmt.Sprintf("%s %s %s holds: here it %s", m.Key, m.Operator, quote(m.Want), found)
		if m.Note != "" {
			text += " (" + m.Note + ")"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return ""
	}
	return " It applies because " + strings.Join(out, "; ") + "."
}

// find returns the statement that a reason speaks of.
func (s Set) find(reason Reason) *statement {
	for _, d := range s.documents(reason.Layer) {
		if d.Name == reason.Document && reason.Statement <= len(d.statements) {
			if st := d.statements[reason.Statement-1]; st.line == reason.Line && st.sid == reason.Sid {
				return st
			}
		}
	}
	return nil
}
