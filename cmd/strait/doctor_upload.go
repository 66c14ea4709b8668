package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"strait"
	"strait/setup"
	"strait/vend"
)

// doctorUploadCommand walks the upload pattern.
type doctorUploadCommand struct {
	Thing    string `required:"" help:"The thing whose upload is looked at."`
	Bucket   string `required:"" help:"The bucket that it means to write to."`
	Rule     string `default:"create_token" help:"Name of the topic rule."`
	Operator string `placeholder:"ARN" help:"Who wires function and rule; default whoever asks."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// Names of the links, in the order of the chain.
const (
	linkPassRole    = "the operator's PassRole"
	linkCertificate = "certificate ACTIVE"
	linkAttached    = "policy attached"
	linkConnect     = "Connect"
	linkSubscribe   = "Subscribe"
	linkPublish     = "Publish"
	linkRule        = "the rule"
	linkFunction    = "the function"
	linkPermission  = "the function's permission"
	linkTrust       = "the function role's trust"
	linkSettings    = "the function's settings"
	linkAssume      = "the function's AssumeRole"
	linkAnswer      = "the function's Publish"
	linkReceive     = "Receive"
	linkBucket      = "the bucket"
	linkPut         = "PutObject"
)

// An uploadWalk is what the walk has learnt so far.
type uploadWalk struct {
	*doctor
	c     *doctorUploadCommand
	place strait.Place

	certificate string // ARN
	function    strait.ARN
	role        strait.ARN // the function's
	vend        vend.Config
}

// Run is called by kong.
func (c *doctorUploadCommand) Run(ctx context.Context) error {
	s, err := setup.NewSession(ctx)
	if err != nil {
		return err
	}
	caller, err := s.Caller(ctx)
	if err != nil {
		return err
	}
	if c.Operator == "" {
		c.Operator = string(caller.ARN)
	}
	w := &uploadWalk{doctor: &doctor{s: s}, c: c, place: caller.Place}
	for _, part := range []func(context.Context) error{w.device, w.rule, w.functionItself, w.wiring, w.vending, w.credentials} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return w.report("the upload of thing "+c.Thing, c.JSON)
}

// device looks at the thing, its certificate, and what that may do.
func (w *uploadWalk) device(ctx context.Context) error {
	policies := []string{linkConnect, linkSubscribe, linkPublish, linkReceive}
	out, err := w.s.IoT.ListThingPrincipals(ctx, &iot.ListThingPrincipalsInput{ThingName: &w.c.Thing})
	create := "strait thing create " + w.c.Thing + " --out DIR"
	switch {
	case isMissing(err):
		w.broken(linkCertificate, "thing", "thing/"+w.c.Thing, "There is no thing "+w.c.Thing+".", create)
		w.skipped("there is no certificate", append([]string{linkAttached}, policies...)...)
		return nil
	case err != nil:
		return fmt.Errorf("look at thing %s: %w", w.c.Thing, err)
	case len(out.Principals) == 0:
		w.broken(linkCertificate, "certificate", "thing/"+w.c.Thing, "No certificate is attached to thing "+w.c.Thing+".", create)
		w.skipped("there is no certificate", append([]string{linkAttached}, policies...)...)
		return nil
	}
	// 1. One that is ACTIVE will do.
	var inactive string
	for _, arn := range out.Principals {
		_, id, _ := strings.Cut(arn, ":cert/")
		crt, err := w.s.IoT.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: &id})
		if err != nil {
			return fmt.Errorf("look at certificate %s: %w", id, err)
		}
		if crt.CertificateDescription.Status == iottypes.CertificateStatusActive {
			w.certificate = arn
			break
		}
		inactive = id
		w.findings = nil
		w.broken(linkCertificate, "certificate", "cert/"+id, fmt.Sprintf("The certificate %s is %s; only an ACTIVE one may connect (certificate: cert/%s).", id, crt.CertificateDescription.Status, id),
			"aws iot update-certificate --certificate-id "+id+" --new-status ACTIVE")
	}
	if w.certificate == "" {
		w.skipped("the certificate "+inactive+" is not ACTIVE", append([]string{linkAttached}, policies...)...)
		return nil
	}
	w.findings = nil
	w.fine(linkCertificate)
	// 2. Any policy at all, of its own or of a thing group.
	attached, err := w.s.IoT.ListAttachedPolicies(ctx, &iot.ListAttachedPoliciesInput{Target: &w.certificate, Recursive: true})
	if err != nil {
		return fmt.Errorf("look at the policies of the certificate: %w", err)
	}
	if len(attached.Policies) == 0 {
		w.broken(linkAttached, "iot policy", "an IoT policy attached to "+w.certificate, "No IoT policy is attached to the certificate: it may not even connect (iot policy: an IoT policy attached to "+w.certificate+").",
			"aws iot attach-policy --policy-name "+setup.DefaultThingPolicy+" --target "+w.certificate)
		w.skipped("no policy is attached", policies...)
		return nil
	}
	w.fine(linkAttached)
	// 3. What it allows.
	for _, l := range []struct{ link, action, resource string }{
		{linkConnect, "iot:Connect", "client/" + w.c.Thing},
		{linkSubscribe, "iot:Subscribe", "topicfilter/" + w.c.Thing + "/token/res"},
		{linkPublish, "iot:Publish", "topic/" + w.c.Thing + "/token/req"},
		{linkReceive, "iot:Receive", "topic/" + w.c.Thing + "/token/res"},
	} {
		q := question{Principal: w.certificate, ClientID: w.c.Thing, Action: l.action, Resource: string(w.place.IoT(l.resource))}
		if err := w.may(ctx, l.link, q, ""); err != nil {
			return err
		}
	}
	return nil
}

// rule looks at the topic rule, and learns which function it calls.
func (w *uploadWalk) rule(ctx context.Context) error {
	name, document := w.c.Rule, "rule/"+w.c.Rule
	out, err := w.s.IoT.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: &name})
	fault := func(sentence, fix string) error {
		w.broken(linkRule, "topic rule", document, sentence+" (topic rule: "+document+").", fix)
		return nil
	}
	if err != nil {
		var denied *iottypes.UnauthorizedException
		if errors.As(err, &denied) || isMissing(err) {
			return fault("There is no topic rule "+name, "strait setup upload --bucket "+w.c.Bucket)
		}
		return fmt.Errorf("look at rule %s: %w", name, err)
	}
	for _, a := range out.Rule.Actions {
		if a.Lambda != nil {
			w.function = strait.ARN(aws.ToString(a.Lambda.FunctionArn))
		}
	}
	topic := w.c.Thing + "/token/req"
	from := fromRE.FindStringSubmatch(aws.ToString(out.Rule.Sql))
	switch {
	case aws.ToBool(out.Rule.RuleDisabled):
		return fault("The topic rule "+name+" is disabled", "aws iot enable-topic-rule --rule-name "+name)
	case w.function == "":
		return fault("The topic rule "+name+" calls no function", "strait setup upload --bucket "+w.c.Bucket)
	case from != nil && !takes(from[1], topic):
		return fault(fmt.Sprintf("The topic rule %s takes messages from %s, and the thing asks on %s", name, from[1], topic), "strait setup upload --bucket "+w.c.Bucket)
	}
	w.fine(linkRule)
	return nil
}

var fromRE = regexp.MustCompile(`(?i)\bFROM\s+'([^']*)'`)

// takes tells whether an MQTT topic filter takes a topic.
func takes(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return true
		case i >= len(t) || level != "+" && level != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

// functionItself looks at the function, and learns its role and settings.
func (w *uploadWalk) functionItself(ctx context.Context) error {
	if w.function == "" {
		w.skipped("the rule calls none", linkFunction, linkSettings)
		return nil
	}
	name := string(w.function)
	out, err := w.s.Lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if isMissing(err) {
		w.broken(linkFunction, "function", w.function.Resource(), "There is no function "+name+".", "strait setup upload --bucket "+w.c.Bucket)
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at function %s: %w", name, err)
	}
	w.fine(linkFunction)
	w.role = strait.ARN(aws.ToString(out.Role))
	var variables map[string]string
	if out.Environment != nil {
		variables = out.Environment.Variables
	}
	w.vend, err = vend.ConfigFromEnv(func(n string) string { return variables[n] })
	if err != nil {
		w.broken(linkSettings, "function", w.function.Resource(), "The function's variables are wrong: "+err.Error()+".", "strait setup upload --bucket "+w.c.Bucket)
		return nil
	}
	w.fine(linkSettings)
	return nil
}

// wiring looks at who may give the function its role, and call it.
func (w *uploadWalk) wiring(ctx context.Context) error {
	if w.role == "" {
		w.skipped("there is no function", linkPassRole, linkPermission, linkTrust)
		return nil
	}
	for _, l := range []struct {
		link string
		q    question
	}{
		{linkPassRole, question{Principal: w.c.Operator, Action: "iam:PassRole", Resource: string(w.role),
			Context: map[string][]string{"iam:PassedToService": {"lambda.amazonaws.com"}}}},
		{linkPermission, question{Principal: "iot.amazonaws.com", Action: "lambda:InvokeFunction", Resource: string(w.function),
			Context: map[string][]string{"aws:SourceArn": {string(w.place.IoT("rule/" + w.c.Rule))}, "aws:SourceAccount": {w.place.Account}}}},
		{linkTrust, question{Principal: "lambda.amazonaws.com", Action: "sts:AssumeRole", Resource: string(w.role),
			Context: map[string][]string{"aws:SourceArn": {string(w.function)}, "aws:SourceAccount": {w.place.Account}}}},
	} {
		if err := w.may(ctx, l.link, l.q, ""); err != nil {
			return err
		}
	}
	return nil
}

// session is the ARN of a role's session.
func (w *uploadWalk) session(role strait.ARN, name string) string {
	res := role.Resource()
	return string(w.place.STS("assumed-role/" + res[strings.LastIndex(res, "/")+1:] + "/" + name))
}

// vending looks at what the function may do.
func (w *uploadWalk) vending(ctx context.Context) error {
	if w.role == "" || w.vend.RoleARN == "" {
		w.skipped("the function's role or settings are not known", linkAssume, linkAnswer)
		return nil
	}
	name := w.function.Resource()
	me := w.session(w.role, name[strings.LastIndex(name, ":")+1:])
	err := w.may(ctx, linkAssume, question{Principal: me, Action: "sts:AssumeRole", Resource: string(w.vend.RoleARN),
		Context: map[string][]string{"sts:RoleSessionName": {vend.SessionName(w.c.Thing)}}}, "")
	if err != nil {
		return err
	}
	return w.may(ctx, linkAnswer, question{Principal: me, Action: "iot:Publish", Resource: string(w.place.IoT("topic/" + w.c.Thing + "/token/res"))}, "")
}

// credentials looks at what the vended credentials may do.
func (w *uploadWalk) credentials(ctx context.Context) error {
	_, err := w.s.S3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &w.c.Bucket})
	switch {
	case isMissing(err):
		w.broken(linkBucket, "bucket", w.c.Bucket, "There is no bucket "+w.c.Bucket+".", "strait setup upload --bucket "+w.c.Bucket)
	case err != nil:
		return fmt.Errorf("look at bucket %s: %w", w.c.Bucket, err)
	default:
		w.fine(linkBucket)
	}
	if w.vend.RoleARN == "" {
		w.skipped("the function's settings are not known", linkPut)
		return nil
	}
	hint := ""
	if w.vend.Bucket != w.c.Bucket {
		hint = fmt.Sprintf(" The function narrows to the bucket %s: its variable %s says so.", w.vend.Bucket, vend.EnvBucket)
	}
	return w.may(ctx, linkPut, question{Principal: w.session(w.vend.RoleARN, vend.SessionName(w.c.Thing)), Action: "s3:PutObject",
		Resource: string(strait.S3(w.c.Bucket + "/" + w.c.Thing + "/object")), SessionPolicy: vend.SessionPolicy(w.vend.Bucket, w.c.Thing+"/", w.vend.Strict)}, hint)
}

// isMissing tells whether an answer of AWS says that a thing does not exist.
func isMissing(err error) bool {
	var r *awshttp.ResponseError
	return errors.As(err, &r) && r.HTTPStatusCode() == http.StatusNotFound
}
