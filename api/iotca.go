package api

import (
	"context"
	"time"

	"strait"
	"strait/identity"
	"strait/identity/template"
)

func (k iotDesk) authorities() []Operation {
	const one = "/cacertificate/{caCertificateId}"
	return []Operation{
		op("RegisterCACertificate", "POST /cacertificate", k.mayRegisterCA, k.registerCA),
		op("DescribeCACertificate", "GET "+one, onIoT[caInput]("iot:DescribeCACertificate"), k.describeCA),
		op("UpdateCACertificate", "PUT "+one, k.mayUpdateCA, k.updateCA),
		op("DeleteCACertificate", "DELETE "+one, onIoT[caInput]("iot:DeleteCACertificate"), k.deleteCA),
		op("ListCACertificates", "GET /cacertificates", on[listCAsInput]("iot:ListCACertificates", "*"), k.listCAs),
		op("ListCertificatesByCA", "GET /certificates-by-ca/{caCertificateId}", on[byCAInput]("iot:ListCertificatesByCA", "*"), k.listByCA),
		op("RegisterCertificate", "POST /certificate/register", on[registerByCAInput]("iot:RegisterCertificate", "*"), k.registerByCA),
		op("GetRegistrationCode", "GET /registrationcode", on[Nothing]("iot:GetRegistrationCode", "*"), k.registrationCode),
		op("DeleteRegistrationCode", "DELETE /registrationcode", on[Nothing]("iot:DeleteRegistrationCode", "*"), k.deleteRegistrationCode),
	}
}

type registrationCodeOutput struct {
	Code string `json:"registrationCode"`
}

func (k iotDesk) registrationCode(ctx context.Context, _ Call, _ *Nothing) (*registrationCodeOutput, error) {
	code, err := k.directory.RegistrationCode(ctx)
	return &registrationCodeOutput{code}, err
}

func (k iotDesk) deleteRegistrationCode(ctx context.Context, _ Call, _ *Nothing) (*Nothing, error) {
	return nil, k.directory.DeleteRegistrationCode(ctx)
}

type registrationConfig struct {
	Body     string     `json:"templateBody,omitempty"`
	Role     strait.ARN `json:"roleArn,omitempty"`
	Template string     `json:"templateName,omitempty"`
}

// registration reads what devices of a CA get. A template of the account
// brings its role, so that it and a template in the request exclude each other.
func (k iotDesk) registration(c *registrationConfig) (r identity.Registration, err error) {
	if c == nil {
		return r, nil
	}
	r = identity.Registration{Template: c.Template, Body: c.Body, Role: c.Role}
	switch {
	case c.Template != "" && (c.Body != "" || c.Role != ""):
		return r, strait.Errorf(strait.Invalid, "request", "registrationConfig has either templateName or templateBody and roleArn.")
	case c.Template != "":
		t, err := k.directory.Template(c.Template)
		if err != nil {
			return r, strait.Errorf(strait.Invalid, "request", "The provisioning template %s does not exist.", c.Template)
		}
		if t.Type != "JITP" {
			return r, strait.Errorf(strait.Invalid, "request", "The provisioning template %s is not of the type JITP.", c.Template)
		}
	case c.Body != "":
		if _, err := template.Parse(c.Body); err != nil {
			return r, err
		}
		if c.Role == "" {
			return r, strait.Errorf(strait.Invalid, "request", "A templateBody needs a roleArn.")
		}
	case c.Role != "":
		return r, strait.Errorf(strait.Invalid, "request", "A roleArn needs a templateBody.")
	}
	return r, nil
}

type registerCAInput struct {
	Active       bool                `aws:"query,setAsActive" json:"-"`
	Auto         bool                `aws:"query,allowAutoRegistration" json:"-"`
	PEM          string              `json:"caCertificate"`
	Verification string              `json:"verificationCertificate"`
	Registration *registrationConfig `json:"registrationConfig"`
	Mode         string              `json:"certificateMode"`
	Tags         []tag               `json:"tags"`
}

func (k iotDesk) mayRegisterCA(_ context.Context, _ View, _ *Caller, in *registerCAInput) ([]Ask, error) {
	return withPassRole(taggedAsk("iot:RegisterCACertificate", "*", in.Tags), in.Registration), nil
}

// withPassRole: who names a role hands it to IoT.
func withPassRole(asks []Ask, c *registrationConfig) []Ask {
	if c != nil && c.Role != "" {
		asks = append(asks, passRole(c.Role, "iot.amazonaws.com"))
	}
	return asks
}

func (k iotDesk) registerCA(ctx context.Context, _ Call, in *registerCAInput) (*registerOutput, error) {
	if in.Mode != "" && in.Mode != "DEFAULT" && in.Mode != "SNI_ONLY" {
		return nil, strait.Errorf(strait.Invalid, "request", "The certificate mode %q is invalid: it is DEFAULT or SNI_ONLY.", in.Mode)
	}
	r, err := k.registration(in.Registration)
	if err != nil {
		return nil, err
	}
	c, err := k.directory.RegisterCA(ctx, identity.CARecord{PEM: in.PEM, Status: status(in.Active), Mode: in.Mode, AutoRegistration: in.Auto, Registration: r}, in.Verification, tagsOf(in.Tags))
	if err != nil {
		return nil, err
	}
	return &registerOutput{c.ARN(k.directory.Place()), c.ID}, nil
}

type caInput struct {
	ID string `aws:"path,caCertificateId"`
}

func (in *caInput) resource() string { return "cacert/" + in.ID }

type caDescription struct {
	ARN      strait.ARN                 `json:"certificateArn"`
	ID       string                     `json:"certificateId"`
	Status   identity.CertificateStatus `json:"status"`
	PEM      string                     `json:"certificatePem,omitempty"`
	Owner    string                     `json:"ownedBy,omitempty"`
	Created  Epoch                      `json:"creationDate"`
	Auto     string                     `json:"autoRegistrationStatus,omitempty"`
	Modified *Epoch                     `json:"lastModifiedDate,omitempty"`
	Version  int                        `json:"customerVersion,omitempty"`
	Validity *validity                  `json:"validity,omitempty"`
	Mode     string                     `json:"certificateMode,omitempty"`
}

type describeCAOutput struct {
	Description  caDescription       `json:"certificateDescription"`
	Registration *registrationConfig `json:"registrationConfig,omitempty"`
}

func (k iotDesk) describeCA(_ context.Context, _ Call, in *caInput) (*describeCAOutput, error) {
	c, err := k.directory.CA(in.ID)
	if err != nil {
		return nil, err
	}
	auto, modified := "DISABLE", Epoch(c.Modified)
	if c.AutoRegistration {
		auto = "ENABLE"
	}
	out := &describeCAOutput{Description: caDescription{
		ARN: c.ARN(k.directory.Place()), ID: c.ID, Status: c.Status, PEM: c.PEM, Owner: k.directory.Place().Account, Created: Epoch(c.Created),
		Auto: auto, Modified: &modified, Version: c.Version, Validity: &validity{Epoch(c.NotBefore), Epoch(c.NotAfter)}, Mode: c.Mode,
	}}
	if r := c.Registration; r != (identity.Registration{}) {
		out.Registration = &registrationConfig{r.Body, r.Role, r.Template}
	}
	return out, nil
}

type updateCAInput struct {
	ID           string              `aws:"path,caCertificateId" json:"-"`
	Status       string              `aws:"query,newStatus" json:"-"`
	Auto         string              `aws:"query,newAutoRegistrationStatus" json:"-"`
	Registration *registrationConfig `json:"registrationConfig"`
	Remove       bool                `json:"removeAutoRegistration"`
}

func (k iotDesk) mayUpdateCA(_ context.Context, v View, _ *Caller, in *updateCAInput) ([]Ask, error) {
	return withPassRole(ask("iot:UpdateCACertificate", v.Place().IoT("cacert/"+in.ID)), in.Registration), nil
}

func (k iotDesk) updateCA(ctx context.Context, _ Call, in *updateCAInput) (*Nothing, error) {
	s := identity.CertificateStatus(in.Status)
	if s != "" && s != identity.Active && s != identity.Inactive {
		return nil, strait.Errorf(strait.Invalid, "request", "The status %q cannot be set: use ACTIVE or INACTIVE.", in.Status)
	}
	if in.Auto != "" && in.Auto != "ENABLE" && in.Auto != "DISABLE" {
		return nil, strait.Errorf(strait.Invalid, "request", "The status of automatic registration is ENABLE or DISABLE.")
	}
	r, err := k.registration(in.Registration)
	if err != nil {
		return nil, err
	}
	return nil, k.directory.ChangeCA(ctx, in.ID, func(c *identity.CARecord) error {
		if s != "" {
			c.Status = s
		}
		if in.Auto != "" {
			c.AutoRegistration = in.Auto == "ENABLE"
		}
		if in.Registration != nil {
			c.Registration = r
		}
		if in.Remove {
			c.AutoRegistration, c.Registration = false, identity.Registration{}
		}
		return nil
	})
}

func (k iotDesk) deleteCA(ctx context.Context, _ Call, in *caInput) (*Nothing, error) {
	return nil, k.directory.DeleteCA(ctx, in.ID)
}

type listCAsInput struct {
	Marker   string `aws:"query,marker"`
	Size     *int   `aws:"query,pageSize"`
	Rising   bool   `aws:"query,isAscendingOrder"`
	Template string `aws:"query,templateName"`
}

type listCAsOutput struct {
	Certificates []caDescription `json:"certificates"`
	Marker       string          `json:"nextMarker,omitempty"`
}

func (k iotDesk) listCAs(_ context.Context, _ Call, in *listCAsInput) (*listCAsOutput, error) {
	var found []*identity.CARecord
	for _, c := range k.directory.CAs() {
		if in.Template == "" || c.Registration.Template == in.Template {
			found = append(found, c)
		}
	}
	cs, next, err := pageMade(&markerInput{in.Marker, in.Size, in.Rising}, found, func(c *identity.CARecord) (time.Time, string) { return c.Created, c.ID })
	out := &listCAsOutput{Certificates: []caDescription{}, Marker: next}
	for _, c := range cs {
		out.Certificates = append(out.Certificates, caDescription{ARN: c.ARN(k.directory.Place()), ID: c.ID, Status: c.Status, Created: Epoch(c.Created)})
	}
	return out, err
}

type byCAInput struct {
	ID     string `aws:"path,caCertificateId"`
	Marker string `aws:"query,marker"`
	Size   *int   `aws:"query,pageSize"`
	Rising bool   `aws:"query,isAscendingOrder"`
}

func (k iotDesk) listByCA(ctx context.Context, c Call, in *byCAInput) (*listCertificatesOutput, error) {
	var found []*identity.CertificateRecord
	for _, c := range k.directory.Certificates() {
		if c.CA == in.ID && in.ID != "" {
			found = append(found, c)
		}
	}
	return k.listedCertificates(found, markerInput{in.Marker, in.Size, in.Rising})
}

type registerByCAInput struct {
	Active bool   `aws:"query,setAsActive" json:"-"`
	PEM    string `json:"certificatePem"`
	CA     string `json:"caCertificatePem"`
	Status string `json:"status"`
}

// registerByCA takes a certificate that a registered authority has signed.
func (k iotDesk) registerByCA(ctx context.Context, _ Call, in *registerByCAInput) (*registerOutput, error) {
	s := identity.CertificateStatus(in.Status)
	switch s {
	case "":
		s = status(in.Active)
	case identity.Active, identity.Inactive, identity.Revoked:
	default:
		return nil, strait.Errorf(strait.Conflict, "certificate state", "Not allowed to register certificate with %s status", in.Status)
	}
	ca, err := k.issuer(in.PEM, in.CA)
	if err != nil {
		return nil, err
	}
	c, err := k.directory.RegisterCertificate(ctx, identity.CertificateRecord{PEM: in.PEM, Status: s, Mode: "DEFAULT", CA: ca.ID})
	if err != nil {
		return nil, err
	}
	return &registerOutput{c.ARN(k.directory.Place()), c.ID}, nil
}

// issuer finds the registered authority of a certificate; text is its PEM if
// the caller says which.
func (k iotDesk) issuer(certificate, text string) (*identity.CARecord, error) {
	crt, err := identity.ParseCertificate(certificate, "certificate")
	if err != nil {
		return nil, err
	}
	signers := k.directory.IssuersOf(crt)
	if text != "" {
		ca, err := identity.ParseCertificate(text, "CA certificate")
		if err != nil {
			return nil, err
		}
		id := identity.CertificateID(ca)
		for _, s := range signers {
			if s.ID == id {
				return s, nil
			}
		}
		return nil, strait.Errorf(strait.Invalid, "certificate", "The CA certificate is not registered, or did not sign the certificate.")
	}
	switch {
	case len(signers) == 0:
		return nil, strait.Errorf(strait.Invalid, "certificate", "No registered CA certificate has signed the certificate (RegisterCACertificate, or RegisterCertificateWithoutCA).")
	case len(signers) > 1:
		return nil, strait.Errorf(strait.Conflict, "certificate", "More than one registered CA certificate could have signed the certificate: say which with caCertificatePem.")
	}
	return signers[0], nil
}
