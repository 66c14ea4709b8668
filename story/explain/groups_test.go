package explain_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// group makes a thing group with a policy.
func (h *house) group(name, parent, policy string) {
	h.t.Helper()
	in := &iot.CreateThingGroupInput{ThingGroupName: &name}
	if parent != "" {
		in.ParentGroupName = &parent
	}
	made, err := h.admin.IoT.CreateThingGroup(h.ctx, in)
	h.must(err)
	_, err = h.admin.IoT.CreatePolicy(h.ctx, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &policy})
	h.must(err)
	_, err = h.admin.IoT.AttachPolicy(h.ctx, &iot.AttachPolicyInput{PolicyName: &name, Target: made.ThingGroupArn})
	h.must(err)
}

// A device is given what its thing group may, while it is connected, and loses
// it the same way; whoever is stuck in between reads why.
func TestThingGroups(t *testing.T) {
	h := open(t)
	const name = "pump7"
	pair, arn := h.certificate(doc(mayConnect))
	_, err := h.admin.IoT.CreateThing(h.ctx, &iot.CreateThingInput{ThingName: aws.String(name)})
	h.must(err)
	h.group("plant", "", doc(allow("iot:Publish", anyTopic+"${iot:Connection.Thing.ThingName}/state")))
	h.group("pumps", "plant", doc(allow("iot:Publish", anyTopic+"pumps")))
	may := func(want bool, what string) {
		t.Helper()
		// A refused publish ends the connection, as with AWS.
		err := h.connected(pair, name, func(c *client) error {
			if err := c.do(c.Publish(name+"/state", 1, false, "x")); err != nil {
				return err
			}
			return c.do(c.Publish("pumps", 1, false, "x"))
		})
		if (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	explained := func(what, words string) {
		t.Helper()
		if text, err := h.strait("explain", "--thing", name); err != nil || !strings.Contains(text, words) {
			t.Errorf("%s: %q is missing (%v) in\n%s", what, words, err, text)
		}
	}

	// 1. In the group, but the certificate belongs to nobody.
	_, err = h.admin.IoT.AddThingToThingGroup(h.ctx, &iot.AddThingToThingGroupInput{ThingName: aws.String(name), ThingGroupName: aws.String("pumps")})
	h.must(err)
	may(false, "not attached")
	explained("not attached", "thing group pumps, thing group plant do not count: the certificate is not attached to thing "+name)

	// 2. Attached: the group and the one above it count, at once.
	live, err := h.dial(pair, name)
	h.must(err)
	_, err = h.admin.IoT.AttachThingPrincipal(h.ctx, &iot.AttachThingPrincipalInput{ThingName: aws.String(name), Principal: &arn})
	h.must(err)
	h.must(live.do(live.Publish(name+"/state", 1, false, "x")))
	h.must(live.do(live.Publish("pumps", 1, false, "x")))

	// 3. What AWS's APIs say of it.
	effective, err := h.admin.IoT.GetEffectivePolicies(h.ctx, &iot.GetEffectivePoliciesInput{Principal: &arn, ThingName: aws.String(name)})
	h.must(err)
	attached, err := h.admin.IoT.ListAttachedPolicies(h.ctx, &iot.ListAttachedPoliciesInput{Target: &arn, Recursive: true})
	h.must(err)
	targets, err := h.admin.IoT.ListTargetsForPolicy(h.ctx, &iot.ListTargetsForPolicyInput{PolicyName: aws.String("plant")})
	h.must(err)
	if len(effective.EffectivePolicies) != 3 || len(attached.Policies) != 3 || len(targets.Targets) != 1 || !strings.HasSuffix(targets.Targets[0], ":thinggroup/plant") {
		t.Errorf("effective %v, attached %v, targets %v", effective.EffectivePolicies, attached.Policies, targets.Targets)
	}
	tested, err := h.admin.IoT.TestAuthorization(h.ctx, &iot.TestAuthorizationInput{Principal: &arn, ClientId: aws.String(name),
		AuthInfos: []types.AuthInfo{{ActionType: types.ActionTypePublish, Resources: []string{string(h.place.IoT("topic/pumps"))}}}})
	h.must(err)
	if r := tested.AuthResults[0]; r.AuthDecision != types.AuthDecisionAllowed || len(r.Allowed.Policies) != 1 || aws.ToString(r.Allowed.Policies[0].PolicyName) != "pumps" {
		t.Errorf("tested: %+v", r)
	}

	// 4. Moved to the group above: what the lower one gave is gone, at once.
	_, err = h.admin.IoT.UpdateThingGroupsForThing(h.ctx, &iot.UpdateThingGroupsForThingInput{ThingName: aws.String(name),
		ThingGroupsToAdd: []string{"plant"}, ThingGroupsToRemove: []string{"pumps"}})
	h.must(err)
	h.must(live.do(live.Publish(name+"/state", 1, false, "x")))
	if live.do(live.Publish("pumps", 1, false, "x")) == nil {
		t.Error("a connection keeps what a group gave that it has left")
	}
	explained("moved", "statement 1 of iot policy plant attached to thing group plant")

	// 5. An exclusive attachment needs no client id of that name.
	_, err = h.admin.IoT.DetachThingPrincipal(h.ctx, &iot.DetachThingPrincipalInput{ThingName: aws.String(name), Principal: &arn})
	h.must(err)
	_, err = h.admin.IoT.AttachThingPrincipal(h.ctx, &iot.AttachThingPrincipalInput{ThingName: aws.String(name), Principal: &arn, ThingPrincipalType: types.ThingPrincipalTypeExclusiveThing})
	h.must(err)
	h.must(h.connected(pair, "any-client-id", func(c *client) error { return c.do(c.Publish(name+"/state", 1, false, "x")) }))
}
