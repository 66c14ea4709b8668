package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"time"

	"strait"
	"strait/rule"
)

// This file posts what HTTP actions of topic rules send, and asks destinations
// for their confirmation [DG Working with HTTP topic rule destinations].

// postTimeout is AWS's; an answer of more than maxAnswer is not tried again.
const (
	postTimeout = 3 * time.Second
	maxAnswer   = 16384
)

// Confirm is rule.Poster.
func (h ruleHands) Confirm(ctx context.Context, d rule.Destination) error {
	arn := string(h.s.cfg.Place.IoT("ruledestination/http/" + d.ID))
	own, _ := h.s.ownURL()
	body, err := json.Marshal(map[string]string{
		"arn": arn, "confirmationToken": d.Token, "enableUrl": own + "/confirmdestination/" + d.Token, "messageType": "DestinationConfirmation",
	})
	if err != nil {
		return err
	}
	req, err := nethttp.NewRequestWithContext(ctx, "POST", d.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q := req.URL.Query()
	q.Set("confirmationToken", d.Token)
	req.URL.RawQuery = q.Encode()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("x-amz-rules-engine-message-type", "DestinationConfirmation")
	req.Header.Set("x-amz-rules-engine-destination-arn", arn)
	return post(req)
}

// send posts a rule's document.
func (h ruleHands) send(ctx context.Context, t rule.Task) error {
	req, err := nethttp.NewRequestWithContext(ctx, "POST", t.Action.HTTP.URL, bytes.NewReader(t.Payload))
	if err != nil {
		return strait.Errorf(strait.Invalid, "action", "the url of the http action cannot be used")
	}
	kind := "application/octet-stream"
	if t.JSON {
		kind = "application/json"
	}
	req.Header.Set("Content-Type", kind)
	for _, x := range t.Action.HTTP.Headers {
		req.Header.Set(x.Key, x.Value)
	}
	return post(req)
}

// post tells what may be tried again (Unavailable) from what may not (Invalid).
func post(req *nethttp.Request) error {
	// No redirect is followed: what was confirmed is the host, not where it points.
	outward := nethttp.Client{Timeout: postTimeout, CheckRedirect: func(*nethttp.Request, []*nethttp.Request) error { return nethttp.ErrUseLastResponse }}
	resp, err := outward.Do(req)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return strait.Errorf(strait.Unavailable, "destination", "the destination did not answer within %s", postTimeout)
	}
	if err != nil {
		return &strait.Error{Kind: strait.Unavailable, Thing: "destination", Message: "the destination cannot be reached", Err: errors.Unwrap(err)}
	}
	defer resp.Body.Close()
	n, _ := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer+1))
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case (code == 429 || code >= 500) && n <= maxAnswer:
		return strait.Errorf(strait.Unavailable, "destination", "the destination answered %d", code)
	default:
		return strait.Errorf(strait.Invalid, "destination", "the destination answered %d", code)
	}
}
