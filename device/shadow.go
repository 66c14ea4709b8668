package device

import (
	"context"
	"strings"

	"strait"
)

// A Shadow is a device shadow's topics, named as AWS names them. What is said
// over them is the caller's affair.
type Shadow struct {
	c    *Client
	base string
}

// Shadow returns the shadow called name of the Client's thing, the classic one
// when name is empty.
func (c *Client) Shadow(name string) (Shadow, error) {
	base := "$aws/things/" + c.Thing() + "/shadow"
	if len(name) > 64 || strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_-") != "" {
		return Shadow{}, strait.Errorf(strait.Invalid, "shadow", "%q is no name of a shadow", name)
	}
	if name != "" {
		base += "/name/" + name
	}
	return Shadow{c, base}, nil
}

// Topic is a topic of the shadow, such as Topic("update/delta").
func (s Shadow) Topic(part string) string { return s.base + "/" + part }

// Get asks for the document; it comes on "get/accepted" or "get/rejected".
func (s Shadow) Get(ctx context.Context) error { return s.send(ctx, "get", nil) }

// Update sends {"state": ...}; the answer comes on "update/accepted" or
// "update/rejected".
func (s Shadow) Update(ctx context.Context, document []byte) error {
	return s.send(ctx, "update", document)
}

// Delete deletes the document.
func (s Shadow) Delete(ctx context.Context) error { return s.send(ctx, "delete", nil) }

// Subscribe subscribes to one of the shadow's topics, such as "update/delta".
func (s Shadow) Subscribe(ctx context.Context, part string, handler func(Message)) error {
	return s.c.Subscribe(ctx, s.Topic(part), handler)
}

func (s Shadow) send(ctx context.Context, part string, payload []byte) error {
	return s.c.Publish(ctx, Message{Topic: s.Topic(part), Payload: payload, QoS: 1})
}
