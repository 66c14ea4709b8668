package explain_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	paho "github.com/eclipse/paho.mqtt.golang"

	"strait/await"
)

const anyTopic = "arn:aws:iot:*:*:topic/"
const anyFilter = "arn:aws:iot:*:*:topicfilter/"

var mayConnect = allow("iot:Connect", "*")

// with connects and does something.
func (h *house) connected(pair tls.Certificate, id string, do func(c *client) error) error {
	c, err := h.dial(pair, id)
	if err != nil {
		return err
	}
	defer c.Disconnect(0)
	return do(c)
}

// publishing is a mistake that shows when publishing.
func publishing(name, says, policy, id, topic string, retained bool) mistake {
	return mistake{name, says, func(h *house) func() error {
		pair, _ := h.certificate(policy)
		return func() error {
			return h.connected(pair, id, func(c *client) error { return c.do(c.Publish(topic, 1, retained, "x")) })
		}
	}}
}

// subscribing is a mistake that shows when subscribing.
func subscribing(name, says, policy, id, filter string) mistake {
	return mistake{name, says, func(h *house) func() error {
		pair, _ := h.certificate(policy)
		return func() error {
			return h.connected(pair, id, func(c *client) error { return c.do(c.Subscribe(filter, 1, nil)) })
		}
	}}
}

// deviceMistakes are of those who connect with a certificate.
var deviceMistakes = []mistake{
	{"a certificate without any policy", "no IoT policy at all", func(h *house) func() error {
		pair, _ := h.certificate("")
		return func() error { return h.connected(pair, "lonely", func(*client) error { return nil }) }
	}},
	{"another client id", "client/mine", func(h *house) func() error {
		pair, _ := h.certificate(doc(allow("iot:Connect", "arn:aws:iot:*:*:client/mine")))
		return func() error { return h.connected(pair, "yours", func(*client) error { return nil }) }
	}},
	{"a thing's variable without a thing of that name", "iot:Connection.Thing.ThingName", func(h *house) func() error {
		pair, _ := h.certificate(doc(allow("iot:Connect", "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}")))
		return func() error { return h.connected(pair, "nothing", func(*client) error { return nil }) }
	}},
	{"a thing that the certificate is not attached to", "iot:Connection.Thing.IsAttached", func(h *house) func() error {
		pair, _ := h.certificate(doc(`{"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}}`))
		_, err := h.admin.IoT.CreateThing(h.ctx, &iot.CreateThingInput{ThingName: aws.String("apart")})
		h.must(err)
		return func() error { return h.connected(pair, "apart", func(*client) error { return nil }) }
	}},
	{"a will on a topic that is not allowed", "topic/will", func(h *house) func() error {
		pair, _ := h.certificate(doc(mayConnect))
		return func() error {
			c, err := h.dial(pair, "dying", func(o *paho.ClientOptions) { o.SetWill("will", "gone", 1, false) })
			if err == nil {
				c.Disconnect(0)
			}
			return err
		}
	}},
	publishing("topicfilter given to Publish", "not on topicfilter/...", doc(mayConnect+","+allow("iot:Publish", anyFilter+"a")), "p1", "a", false),
	publishing("a + in a policy", "plain characters", doc(mayConnect+","+allow("iot:Publish", anyTopic+"a/+")), "p2", "a/b", false),
	publishing("a retained message", "RetainPublish", doc(mayConnect+","+allow("iot:Publish", anyTopic+"r")), "p3", "r", true),
	publishing("a client id with a wildcard reaches no other's topic", "other/x", doc(mayConnect+","+allow("iot:Publish", anyTopic+"${iot:ClientId}/x")), "o*", "other/x", false),
	publishing("another region in the ARN", "the region", doc(mayConnect+","+allow("iot:Publish", "arn:aws:iot:us-east-1:123456789012:topic/b")), "p4", "b", false),
	subscribing("topic given to Subscribe", "not on topic/...", doc(mayConnect+","+allow("iot:Subscribe", anyTopic+"a")), "s1", "a"),
	subscribing("a filter is not its topic", "a/#", doc(mayConnect+","+allow("iot:Subscribe", anyFilter+"a")), "s2", "a/#"),
	subscribing("a topic is not its filter", "plain characters", doc(mayConnect+","+allow("iot:Subscribe", anyFilter+"a/#")), "s3", "a/b"),
	{"Subscribe without Receive", "iot:Receive", func(h *house) func() error {
		pair, _ := h.certificate(doc(mayConnect + "," + allow("iot:Subscribe", "*") + "," + allow("iot:Publish", "*")))
		tries := 0
		return func() error {
			tries++
			return h.connected(pair, "deaf", func(c *client) error {
				if err := c.do(c.Subscribe("news", 1, nil)); err != nil {
					return err
				}
				if err := c.do(c.Publish("news", 1, false, "x")); err != nil {
					return err
				}
				if tries == 1 {
					// The refusal is made after the PUBACK. Once it is told, no
					// message will come.
					await.Until(h.t, "the refusal of the delivery is told", func() bool {
						text, err := h.strait("explain", "--last")
						return len(c.came) > 0 || err == nil && strings.Contains(text, "iot:Receive")
					})
					if len(c.came) == 0 {
						return errors.New("no message came")
					}
					return nil
				}
				select {
				case <-c.came:
					return nil
				case <-time.After(patience):
					return errors.New("no message came")
				}
			})
		}
	}},
}

// TestLiveChanges: what changes reaches connections that are there, at once.
func TestLiveChanges(t *testing.T) {
	h := open(t)
	name := "live"
	pair, arn := h.certificate("")
	create := func(doc string) {
		t.Helper()
		_, err := h.admin.IoT.CreatePolicy(h.ctx, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &doc})
		h.must(err)
		_, err = h.admin.IoT.AttachPolicy(h.ctx, &iot.AttachPolicyInput{PolicyName: &name, Target: &arn})
		h.must(err)
	}
	publish := func(c *client) error { return c.do(c.Publish("a", 1, false, "x")) }
	connect := func() *client {
		t.Helper()
		c, err := h.dial(pair, "live")
		h.must(err)
		h.must(publish(c))
		return c
	}
	create(doc(mayConnect + "," + allow("iot:Publish", anyTopic+"a")))

	// 1. A new version of the policy.
	c := connect()
	v, err := h.admin.IoT.CreatePolicyVersion(h.ctx, &iot.CreatePolicyVersionInput{PolicyName: &name, PolicyDocument: aws.String(doc(mayConnect)), SetAsDefault: true})
	h.must(err)
	if publish(c) == nil {
		t.Error("a connection may still publish after the policy's new version forbids it")
	}
	_, err = h.admin.IoT.SetDefaultPolicyVersion(h.ctx, &iot.SetDefaultPolicyVersionInput{PolicyName: &name, PolicyVersionId: aws.String("1")})
	h.must(err)
	_, err = h.admin.IoT.DeletePolicyVersion(h.ctx, &iot.DeletePolicyVersionInput{PolicyName: &name, PolicyVersionId: v.PolicyVersionId})
	h.must(err)
	// 2. A detached policy.
	c = connect()
	_, err = h.admin.IoT.DetachPolicy(h.ctx, &iot.DetachPolicyInput{PolicyName: &name, Target: &arn})
	h.must(err)
	if publish(c) == nil {
		t.Error("a connection may still publish after its policy was detached")
	}
	_, err = h.admin.IoT.AttachPolicy(h.ctx, &iot.AttachPolicyInput{PolicyName: &name, Target: &arn})
	h.must(err)
	// 3. A certificate that is made inactive: the connection is closed by itself.
	c = connect()
	id := arn[len(h.place.IoT("cert/")):]
	_, err = h.admin.IoT.UpdateCertificate(h.ctx, &iot.UpdateCertificateInput{CertificateId: &id, NewStatus: types.CertificateStatusInactive})
	h.must(err)
	select {
	case <-c.lost:
	case <-time.After(patience):
		t.Error("the connection of an inactive certificate lives on")
	}
	// 4. What is allowed anew is allowed at once, too.
	_, err = h.admin.IoT.UpdateCertificate(h.ctx, &iot.UpdateCertificateInput{CertificateId: &id, NewStatus: types.CertificateStatusActive})
	h.must(err)
	c = connect()
	_, err = h.admin.IoT.CreatePolicyVersion(h.ctx, &iot.CreatePolicyVersionInput{PolicyName: &name, PolicyDocument: aws.String(doc(mayConnect + "," + allow("iot:Publish", anyTopic+"*"))), SetAsDefault: true})
	h.must(err)
	h.must(c.do(c.Publish("b", 1, false, "x")))
	c.Disconnect(0)
}
