package api

import (
	"encoding/json"
	"time"

	"strait"
	"strait/rule"
)

// A ruleAction is one action: its kind, and what it says.
type ruleAction map[string]json.RawMessage

// roles returns the roles that the action hands to IoT.
func (a ruleAction) roles() []strait.ARN {
	var out []strait.ARN
	for _, raw := range a {
		var m struct {
			RoleARN strait.ARN `json:"roleArn"`
		}
		if json.Unmarshal(raw, &m) == nil && m.RoleARN != "" {
			out = append(out, m.RoleARN)
		}
	}
	return out
}

func (a ruleAction) action() (rule.Action, error) {
	if len(a) != 1 {
		return rule.Action{}, strait.Errorf(strait.Invalid, "request", "An action has exactly one member.")
	}
	for kind, raw := range a {
		read, ok := ruleActions[kind]
		if !ok {
			return rule.Action{}, strait.Errorf(strait.Invalid, "request", "The action %q is not offered here; offered are lambda, republish, s3, http and cloudwatchLogs.", kind)
		}
		act, err := read(raw)
		if strait.KindOf(err) == strait.Invalid {
			return act, err
		}
		if err != nil {
			return act, strait.Errorf(strait.Invalid, "request", "The action %s cannot be read: a member has the wrong type.", kind)
		}
		return act, nil
	}
	return rule.Action{}, nil
}

// ruleActions read the actions that are offered (iot-rules-sql.md, section 9).
var ruleActions = map[string]func(json.RawMessage) (rule.Action, error){
	"lambda": func(raw json.RawMessage) (rule.Action, error) {
		var m struct {
			FunctionARN strait.ARN `json:"functionArn"`
		}
		err := json.Unmarshal(raw, &m)
		return rule.Action{Lambda: &rule.Lambda{FunctionARN: m.FunctionARN}}, err
	},
	"republish": func(raw json.RawMessage) (rule.Action, error) {
		var m struct {
			RoleARN strait.ARN `json:"roleArn"`
			Topic   string     `json:"topic"`
			QoS     int        `json:"qos"`
			Headers *struct {
				Format        string        `json:"payloadFormatIndicator"`
				ContentType   string        `json:"contentType"`
				ResponseTopic string        `json:"responseTopic"`
				Correlation   string        `json:"correlationData"`
				Expiry        string        `json:"messageExpiry"`
				User          []rule.Header `json:"userProperties"`
			} `json:"headers"`
		}
		err := json.Unmarshal(raw, &m)
		r := &rule.Republish{RoleARN: m.RoleARN, Topic: m.Topic, QoS: m.QoS}
		if m.Headers != nil {
			h := rule.Headers(*m.Headers)
			r.Headers = &h
		}
		return rule.Action{Republish: r}, err
	},
	"http": func(raw json.RawMessage) (rule.Action, error) {
		var m struct {
			URL          string        `json:"url"`
			Confirmation string        `json:"confirmationUrl"`
			Headers      []rule.Header `json:"headers"`
			Auth         any           `json:"auth"`
			Batching     bool          `json:"enableBatching"`
			Batch        struct {
				Open   *int `json:"maxBatchOpenMs"`
				Size   *int `json:"maxBatchSize"`
				Bytes  *int `json:"maxBatchSizeBytes"`
				Across bool `json:"batchAcrossTopics"`
			} `json:"batchConfig"`
		}
		err := json.Unmarshal(raw, &m)
		if m.Auth != nil {
			err = strait.Errorf(strait.Invalid, "request", "An http action with auth is not offered here.")
		}
		h := &rule.HTTP{URL: m.URL, ConfirmationURL: m.Confirmation, Headers: m.Headers}
		if b := m.Batch; m.Batching {
			// 0 is no absent number: it is out of bounds.
			number := func(n *int) int {
				switch {
				case n == nil:
					return 0
				case *n == 0:
					return -1
				}
				return *n
			}
			h.Batch = &rule.Batch{Open: time.Duration(number(b.Open)) * time.Millisecond, Size: number(b.Size), Bytes: number(b.Bytes), AcrossTopics: b.Across}
		}
		return rule.Action{HTTP: h}, err
	},
	"cloudwatchLogs": func(raw json.RawMessage) (rule.Action, error) {
		var m struct {
			RoleARN strait.ARN `json:"roleArn"`
			Group   string     `json:"logGroupName"`
			Batch   bool       `json:"batchMode"`
		}
		err := json.Unmarshal(raw, &m)
		return rule.Action{Logs: &rule.Logs{RoleARN: m.RoleARN, Group: m.Group, Batch: m.Batch}}, err
	},
	"s3": func(raw json.RawMessage) (rule.Action, error) {
		var m struct {
			RoleARN strait.ARN `json:"roleArn"`
			Bucket  string     `json:"bucketName"`
			Key     string     `json:"key"`
			ACL     string     `json:"cannedAcl"`
		}
		err := json.Unmarshal(raw, &m)
		return rule.Action{S3: &rule.S3{RoleARN: m.RoleARN, Bucket: m.Bucket, Key: m.Key, CannedACL: m.ACL}}, err
	},
}
