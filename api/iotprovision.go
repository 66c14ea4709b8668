package api

import (
	"context"
	"strconv"
	"time"

	"strait"
	"strait/identity"
)

func (k iotDesk) provisioning() []Operation {
	const one, versions = "/provisioning-templates/{templateName}", "/provisioning-templates/{templateName}/versions"
	return []Operation{
		op("CreateProvisioningTemplate", "POST /provisioning-templates", k.mayCreateTemplate, k.createTemplate),
		op("DescribeProvisioningTemplate", "GET "+one, onIoT[templateInput]("iot:DescribeProvisioningTemplate"), k.describeTemplate),
		op("UpdateProvisioningTemplate", "PATCH "+one, k.mayUpdateTemplate, k.updateTemplate),
		op("DeleteProvisioningTemplate", "DELETE "+one, onIoT[templateInput]("iot:DeleteProvisioningTemplate"), k.deleteTemplate),
		op("ListProvisioningTemplates", "GET /provisioning-templates", on[listTemplatesInput]("iot:ListProvisioningTemplates", "*"), k.listTemplates),
		op("CreateProvisioningTemplateVersion", "POST "+versions, onIoT[createTemplateVersionInput]("iot:CreateProvisioningTemplateVersion"), k.createTemplateVersion),
		op("ListProvisioningTemplateVersions", "GET "+versions, onIoT[listTemplateVersionsInput]("iot:ListProvisioningTemplateVersions"), k.listTemplateVersions),
		op("DescribeProvisioningTemplateVersion", "GET "+versions+"/{versionId}", onIoT[templateVersionInput]("iot:DescribeProvisioningTemplateVersion"), k.describeTemplateVersion),
		op("DeleteProvisioningTemplateVersion", "DELETE "+versions+"/{versionId}", onIoT[templateVersionInput]("iot:DeleteProvisioningTemplateVersion"), k.deleteTemplateVersion),
		op("RegisterThing", "POST /things", on[registerThingInput]("iot:RegisterThing", "*"), k.registerThing),
		op("CreateProvisioningClaim", "POST "+one+"/provisioning-claim", onIoT[templateInput]("iot:CreateProvisioningClaim"), k.createClaim),
	}
}

type templateInput struct {
	Name string `aws:"path,templateName"`
}

func (in *templateInput) resource() string { return "provisioningtemplate/" + in.Name }

type hook struct {
	Version string     `json:"payloadVersion,omitempty"`
	Target  strait.ARN `json:"targetArn"`
}

func (h *hook) read() (*identity.Hook, error) {
	if h == nil {
		return nil, nil
	}
	if h.Version != "" && h.Version != "2020-04-01" {
		return nil, strait.Errorf(strait.Invalid, "request", "The payloadVersion %q is invalid: it is 2020-04-01.", h.Version)
	}
	if p, err := h.Target.Parse(); err != nil || p.Service != "lambda" {
		return nil, strait.Errorf(strait.Invalid, "request", "The targetArn %q is not a function's.", h.Target)
	}
	return &identity.Hook{Function: h.Target, PayloadVersion: "2020-04-01"}, nil
}

func hookOf(h *identity.Hook) *hook {
	if h == nil {
		return nil
	}
	return &hook{h.PayloadVersion, h.Function}
}

type createTemplateInput struct {
	Name        string     `json:"templateName"`
	Description string     `json:"description"`
	Body        string     `json:"templateBody"`
	Enabled     bool       `json:"enabled"`
	Role        strait.ARN `json:"provisioningRoleArn"`
	Hook        *hook      `json:"preProvisioningHook"`
	Tags        []tag      `json:"tags"`
	Type        string     `json:"type"`
}

// mayCreateTemplate: whoever makes a template hands its role to IoT.
func (k iotDesk) mayCreateTemplate(_ context.Context, v View, c *Caller, in *createTemplateInput) ([]Ask, error) {
	template := v.Place().IoT("provisioningtemplate/" + in.Name)
	return append(taggedAsk("iot:CreateProvisioningTemplate", template, in.Tags), passRole(in.Role, "iot.amazonaws.com"), takes(v, "iot.amazonaws.com", in.Role, template, c.Trace)), nil
}

type createTemplateOutput struct {
	ARN     strait.ARN `json:"templateArn"`
	Name    string     `json:"templateName"`
	Default int        `json:"defaultVersionId"`
}

func (k iotDesk) createTemplate(ctx context.Context, c Call, in *createTemplateInput) (*createTemplateOutput, error) {
	h, err := in.Hook.read()
	if err != nil {
		return nil, err
	}
	if in.Type == "" {
		in.Type = "FLEET_PROVISIONING"
	}
	t := identity.ProvisioningTemplate{Name: in.Name, Description: in.Description, Type: in.Type, Enabled: in.Enabled, Role: in.Role, Hook: h}
	if err := taken(k.directory, c, in.Role); err != nil {
		return nil, strait.Errorf(strait.Invalid, "request", "The provisioning role cannot be assumed by AWS IoT: %s", plainly(err)) // Terraform waits for these words
	}
	made, err := k.directory.CreateTemplate(ctx, t, in.Body, tagsOf(in.Tags))
	if err != nil {
		return nil, err
	}
	return &createTemplateOutput{made.ARN(k.directory.Place()), made.Name, made.Default}, nil
}

type describeTemplateOutput struct {
	ARN         strait.ARN `json:"templateArn"`
	Name        string     `json:"templateName"`
	Description string     `json:"description,omitempty"`
	Created     Epoch      `json:"creationDate"`
	Modified    Epoch      `json:"lastModifiedDate"`
	Default     int        `json:"defaultVersionId"`
	Body        string     `json:"templateBody,omitempty"`
	Enabled     bool       `json:"enabled"`
	Role        strait.ARN `json:"provisioningRoleArn,omitempty"`
	Hook        *hook      `json:"preProvisioningHook,omitempty"`
	Type        string     `json:"type"`
}

func (k iotDesk) describeTemplate(_ context.Context, _ Call, in *templateInput) (*describeTemplateOutput, error) {
	t, err := k.directory.Template(in.Name)
	if err != nil {
		return nil, err
	}
	return &describeTemplateOutput{
		ARN: t.ARN(k.directory.Place()), Name: t.Name, Description: t.Description, Created: Epoch(t.Created), Modified: Epoch(t.Modified),
		Default: t.Default, Body: t.Body(), Enabled: t.Enabled, Role: t.Role, Hook: hookOf(t.Hook), Type: t.Type,
	}, nil
}

type updateTemplateInput struct {
	Name        string     `aws:"path,templateName" json:"-"`
	Description *string    `json:"description"`
	Enabled     *bool      `json:"enabled"`
	Default     *int       `json:"defaultVersionId"`
	Role        strait.ARN `json:"provisioningRoleArn"`
	Hook        *hook      `json:"preProvisioningHook"`
	RemoveHook  bool       `json:"removePreProvisioningHook"`
}

func (k iotDesk) mayUpdateTemplate(_ context.Context, v View, _ *Caller, in *updateTemplateInput) ([]Ask, error) {
	asks := ask("iot:UpdateProvisioningTemplate", v.Place().IoT("provisioningtemplate/"+in.Name))
	if in.Role != "" {
		asks = append(asks, passRole(in.Role, "iot.amazonaws.com"))
	}
	return asks, nil
}

func (k iotDesk) updateTemplate(ctx context.Context, _ Call, in *updateTemplateInput) (*Nothing, error) {
	h, err := in.Hook.read()
	if err != nil {
		return nil, err
	}
	return nil, k.directory.ChangeTemplate(ctx, in.Name, func(t *identity.ProvisioningTemplate) error {
		if in.Description != nil {
			t.Description = *in.Description
		}
		if in.Enabled != nil {
			t.Enabled = *in.Enabled
		}
		if in.Default != nil {
			if _, ok := t.Versions[*in.Default]; !ok {
				return noTemplateVersion(in.Name, strconv.Itoa(*in.Default))
			}
			t.Default = *in.Default
		}
		if in.Role != "" {
			t.Role = in.Role
		}
		if h != nil || in.RemoveHook {
			t.Hook = h
		}
		return nil
	})
}

func (k iotDesk) deleteTemplate(ctx context.Context, _ Call, in *templateInput) (*Nothing, error) {
	return nil, k.directory.DeleteTemplate(ctx, in.Name)
}

type listTemplatesInput struct {
	Token string `aws:"query,nextToken"`
	Limit *int   `aws:"query,maxResults"`
}

type listedTemplate struct {
	ARN         strait.ARN `json:"templateArn"`
	Name        string     `json:"templateName"`
	Description string     `json:"description,omitempty"`
	Created     Epoch      `json:"creationDate"`
	Modified    Epoch      `json:"lastModifiedDate"`
	Enabled     bool       `json:"enabled"`
	Type        string     `json:"type"`
}

type listTemplatesOutput struct {
	Templates []listedTemplate `json:"templates"`
	Token     string           `json:"nextToken,omitempty"`
}

func (k iotDesk) listTemplates(_ context.Context, _ Call, in *listTemplatesInput) (*listTemplatesOutput, error) {
	ts, token, err := page(k.directory.Templates(), func(t *identity.ProvisioningTemplate) string { return t.Name }, in.Token, in.Limit)
	out := &listTemplatesOutput{Templates: []listedTemplate{}, Token: token}
	for _, t := range ts {
		out.Templates = append(out.Templates, listedTemplate{t.ARN(k.directory.Place()), t.Name, t.Description, Epoch(t.Created), Epoch(t.Modified), t.Enabled, t.Type})
	}
	return out, err
}

type createTemplateVersionInput struct {
	Name    string `aws:"path,templateName" json:"-"`
	Default bool   `aws:"query,setAsDefault" json:"-"`
	Body    string `json:"templateBody"`
}

func (in *createTemplateVersionInput) resource() string { return "provisioningtemplate/" + in.Name }

type createTemplateVersionOutput struct {
	ARN     strait.ARN `json:"templateArn"`
	Name    string     `json:"templateName"`
	ID      int        `json:"versionId"`
	Default bool       `json:"isDefaultVersion"`
}

func (k iotDesk) createTemplateVersion(ctx context.Context, _ Call, in *createTemplateVersionInput) (*createTemplateVersionOutput, error) {
	id, err := k.directory.AddTemplateVersion(ctx, in.Name, in.Body, in.Default)
	if err != nil {
		return nil, err
	}
	return &createTemplateVersionOutput{k.directory.Place().IoT("provisioningtemplate/" + in.Name), in.Name, id, in.Default}, nil
}

type listTemplateVersionsInput struct {
	Name  string `aws:"path,templateName"`
	Token string `aws:"query,nextToken"`
	Limit *int   `aws:"query,maxResults"`
}

func (in *listTemplateVersionsInput) resource() string { return "provisioningtemplate/" + in.Name }

type listedTemplateVersion struct {
	ID      int   `json:"versionId"`
	Created Epoch `json:"creationDate"`
	Default bool  `json:"isDefaultVersion"`
}

type listTemplateVersionsOutput struct {
	Versions []listedTemplateVersion `json:"versions"`
}

// listTemplateVersions gives all at once: five are the most.
func (k iotDesk) listTemplateVersions(_ context.Context, _ Call, in *listTemplateVersionsInput) (*listTemplateVersionsOutput, error) {
	t, err := k.directory.Template(in.Name)
	if err != nil {
		return nil, err
	}
	out := &listTemplateVersionsOutput{}
	for _, id := range t.VersionIDs() {
		out.Versions = append(out.Versions, listedTemplateVersion{id, Epoch(t.Versions[id].Created), id == t.Default})
	}
	return out, nil
}

type templateVersionInput struct {
	Name    string `aws:"path,templateName"`
	Version string `aws:"path,versionId"`
}

func (in *templateVersionInput) resource() string { return "provisioningtemplate/" + in.Name }

func noTemplateVersion(name, version string) error {
	return strait.Errorf(strait.NotFound, "template", "Version %s of provisioning template %s not found.", version, name)
}

type describeTemplateVersionOutput struct {
	ID      int    `json:"versionId"`
	Created Epoch  `json:"creationDate"`
	Body    string `json:"templateBody"`
	Default bool   `json:"isDefaultVersion"`
}

func (k iotDesk) describeTemplateVersion(_ context.Context, _ Call, in *templateVersionInput) (*describeTemplateVersionOutput, error) {
	t, err := k.directory.Template(in.Name)
	if err != nil {
		return nil, err
	}
	id, err := strconv.Atoi(in.Version)
	v, ok := t.Versions[id]
	if err != nil || !ok {
		return nil, noTemplateVersion(in.Name, in.Version)
	}
	return &describeTemplateVersionOutput{id, Epoch(v.Created), v.Body, id == t.Default}, nil
}

func (k iotDesk) deleteTemplateVersion(ctx context.Context, _ Call, in *templateVersionInput) (*Nothing, error) {
	return nil, k.directory.ChangeTemplate(ctx, in.Name, func(t *identity.ProvisioningTemplate) error {
		id, err := strconv.Atoi(in.Version)
		if _, ok := t.Versions[id]; err != nil || !ok {
			return noTemplateVersion(in.Name, in.Version)
		}
		if id == t.Default {
			return strait.Errorf(strait.Conflict, "deletion", "The default version of a provisioning template cannot be deleted.")
		}
		delete(t.Versions, id)
		return nil
	})
}

type createClaimOutput struct {
	ID         string  `json:"certificateId"`
	PEM        string  `json:"certificatePem"`
	Keys       keyPair `json:"keyPair"`
	Expiration Epoch   `json:"expiration"`
}

// claimTime is how long a claim of CreateProvisioningClaim is good for
// (iot-control-plane.md, section 8).
const claimTime = 5 * time.Minute

// createClaim makes a certificate that may do nothing but provision by this
// template, for five minutes.
func (k iotDesk) createClaim(ctx context.Context, _ Call, in *templateInput) (*createClaimOutput, error) {
	t, err := k.directory.Template(in.Name)
	if err != nil {
		return nil, err
	}
	if t.Type != "FLEET_PROVISIONING" {
		return nil, strait.Errorf(strait.Invalid, "request", "The provisioning template %s is not for fleet provisioning.", in.Name)
	}
	pair, err := k.authority.NewDevice()
	if err != nil {
		return nil, err
	}
	c, err := k.directory.RegisterCertificate(ctx, identity.CertificateRecord{PEM: pair.Certificate, Status: identity.Active, Mode: "DEFAULT", Claim: in.Name})
	if err != nil {
		return nil, err
	}
	return &createClaimOutput{c.ID, c.PEM, keyPair{pair.PublicKey, pair.PrivateKey}, Epoch(c.Created.Add(claimTime))}, nil
}
