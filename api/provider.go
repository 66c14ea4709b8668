package api

import (
	"context"
	"net/url"
	"slices"
	"time"

	"strait"
	"strait/authz"
	"strait/credential"
	"strait/identity"
)

// Provider returns the table of IoT's credentials provider: a device with a
// certificate gets credentials of the role behind a role alias, over one HTTPS
// request (iot-shadow-and-data.md, section 7).
func Provider(d *identity.Directory, a *authz.Authorizer, i *credential.Issuer, now func() time.Time) Service {
	k := providerDesk{d, a, i, now}
	return Service{Name: "credentials", Protocol: "rest-json", Operations: []Operation{
		op("AssumeRoleWithCertificate", "GET /role-aliases/{roleAlias}/credentials", k.mayAssume, k.assume),
	}}
}

type providerDesk struct {
	directory  *identity.Directory
	authorizer *authz.Authorizer
	issuer     *credential.Issuer
	now        func() time.Time
}

type providerInput struct {
	Alias string `aws:"path,roleAlias"`
	Thing string `aws:"header,X-Amzn-Iot-Thingname"`
}

type providerCredentials struct {
	KeyID      string `json:"accessKeyId"`
	Secret     string `json:"secretAccessKey"`
	Token      string `json:"sessionToken"`
	Expiration Stamp  `json:"expiration"`
}

type providerOutput struct {
	Credentials providerCredentials `json:"credentials"`
}

// mayAssume: the thing that the request names must be the certificate's own;
// then the certificate's policies decide about the alias.
func (k providerDesk) mayAssume(_ context.Context, v View, c *Caller, in *providerInput) ([]Ask, error) {
	if err := k.own(v, c, in.Thing); err != nil {
		return nil, err
	}
	name := unescaped(in.Alias)
	asks := ask("iot:AssumeRoleWithCertificate", v.Place().IoT("rolealias/"+name))
	if alias, err := v.RoleAlias(name); err == nil {
		asks = append(asks, takes(v, credentialsService, alias.Role, alias.ARN(v.Place()), c.Trace))
	}
	return asks, nil
}

// own tells the trace which thing asks, once it is the certificate's.
func (k providerDesk) own(v View, c *Caller, thing string) error {
	if c.Kind != strait.Certificate || thing == "" {
		return nil
	}
	t, err := v.Thing(thing)
	if err == nil && slices.Contains(t.Principals, c.ARN) {
		c.Thing = thing
		return nil
	}
	why := "the thing " + url.PathEscape(thing) + " does not exist"
	if err == nil {
		why = "the certificate is not attached to the thing " + thing + " (iot attach-thing-principal)"
	}
	k.broken(c, thing, "thing", why)
	return &strait.Error{Kind: strait.Denied, Thing: "thing", Message: "Invalid thing name passed", Detail: map[string]string{"Reason": why}}
}

// broken writes down what ended a request where no decision was taken.
func (k providerDesk) broken(c *Caller, thing, layer, why string) {
	k.authorizer.Recorder.Note(authz.Record{Trace: c.Trace, Thing: thing, Operation: "AssumeRoleWithCertificate", Principal: c.ARN, Event: why, Broken: true, Layer: layer})
}

func (k providerDesk) assume(_ context.Context, c Call, in *providerInput) (*providerOutput, error) {
	name := unescaped(in.Alias)
	alias, err := k.directory.RoleAlias(name)
	if err != nil {
		k.broken(c.Caller, in.Thing, "role alias", "the role alias "+name+" does not exist (iot create-role-alias)")
		return nil, &strait.Error{Kind: strait.NotFound, Thing: "role alias", Message: "Role alias does not exist", Detail: map[string]string{"Reason": name}}
	}
	role := k.directory.RoleByARN(alias.Role)
	if err := taken(k.directory, c, alias.Role); err != nil {
		if role == nil {
			k.broken(c.Caller, in.Thing, "role alias", "the role "+string(alias.Role)+" of the role alias "+name+" does not exist")
		}
		return nil, cannotAssume(err)
	}
	if alias.Duration > role.MaxSession {
		k.broken(c.Caller, in.Thing, "role alias", "the role alias "+name+" asks for "+alias.Duration.String()+", and the role "+role.Name+" allows "+role.MaxSession.String()+" (iam update-role --max-session-duration)")
		return nil, strait.Errorf(strait.Invalid, "duration", "The requested CredentialDurationSeconds exceeds the MaxSessionDuration set for the role")
	}
	return k.issue(c.Caller, role, alias, in.Thing)
}

// cannotAssume is AWS's one sentence for a role that is missing or does not
// trust the provider; the reason is added.
func cannotAssume(err error) error {
	e := &strait.Error{Kind: strait.Invalid, Thing: "role", Message: "Unable to assume the role, or the role to assume does not exist", Detail: map[string]string{"Reason": plainly(err)}}
	if id, ok := authz.IsRefusal(err); ok {
		e.Detail["DecisionId"] = id
	}
	return e
}

// issue makes the credentials. The session is called like the certificate; its
// policies can name the thing only when the request did.
func (k providerDesk) issue(c *Caller, role *identity.Role, alias *identity.RoleAlias, thing string) (*providerOutput, error) {
	now := k.now()
	s := credential.Session{
		Kind: strait.AssumedRole, RoleID: role.ID, RoleARN: alias.Role, Name: c.ID, Trace: c.Trace, Issued: now, Expires: now.Add(alias.Duration),
		Context: map[string]string{"credentials-iot:AwsCertificateId": c.ID},
	}
	if thing != "" {
		s.Context["credentials-iot:ThingName"] = thing
		if t, err := k.directory.Thing(thing); err == nil && t.Type != "" {
			s.Context["credentials-iot:ThingTypeName"] = t.Type
		}
	}
	creds, _, err := k.issuer.Issue(s)
	if err != nil {
		return nil, err
	}
	return &providerOutput{providerCredentials{creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken, Stamp(creds.Expiration)}}, nil
}
