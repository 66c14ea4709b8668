package setup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A LogLine is a line of a log group.
type LogLine struct {
	ID      string `json:"eventId"`
	Time    int64  `json:"timestamp"` // ms
	Stream  string `json:"logStreamName"`
	Message string `json:"message"`
}

// LogLines returns lines of a log group from since on, oldest first, a page at a
// time: next is "" when there are no more now. It asks CloudWatch Logs, Strait's
// or AWS's, with one signed request: its SDK is not worth a megabyte here.
func (s *Session) LogLines(ctx context.Context, group string, since time.Time, pattern, token string) (lines []LogLine, next string, err error) {
	in := map[string]any{"logGroupName": group, "startTime": since.UnixMilli()}
	if pattern != "" {
		in["filterPattern"] = pattern
	}
	if token != "" {
		in["nextToken"] = token
	}
	var out struct {
		Events []LogLine `json:"events"`
		Next   string    `json:"nextToken"`
	}
	err = s.logs(ctx, "FilterLogEvents", in, &out)
	return out.Events, out.Next, err
}

// MakeLogGroup makes a log group.
func (s *Session) MakeLogGroup(ctx context.Context, name string) error {
	return s.logs(ctx, "CreateLogGroup", map[string]any{"logGroupName": name}, nil)
}

func (s *Session) logs(ctx context.Context, operation string, in, out any) error {
	url := s.Endpoint
	if url == "" {
		url = "https://logs." + s.Config.Region + ".amazonaws.com"
	}
	doc, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/", bytes.NewReader(doc))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	creds, err := s.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(doc)
	if err := v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(sum[:]), "logs", s.Config.Region, time.Now()); err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	answer, err := s.client().Do(r)
	if err != nil {
		return fmt.Errorf("reach the server: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the server's answer: %w", err)
	case len(body) > maxAnswer:
		return fmt.Errorf("the server's answer is larger than %d bytes", maxAnswer)
	case answer.StatusCode/100 != 2:
		return refusal(answer.Status, body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}
