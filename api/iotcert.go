package api

import (
	"context"
	"fmt"
	"math"
	"sort"
	"time"

	"strait"
	"strait/identity"
)

func (k iotDesk) certificates() []Operation {
	return []Operation{
		op("CreateKeysAndCertificate", "POST /keys-and-certificate", on[createKeysInput]("iot:CreateKeysAndCertificate", "*"), k.createKeys),
		op("CreateCertificateFromCsr", "POST /certificates", on[createFromCSRInput]("iot:CreateCertificateFromCsr", "*"), k.createFromCSR),
		op("RegisterCertificateWithoutCA", "POST /certificate/register-no-ca", on[registerInput]("iot:RegisterCertificateWithoutCA", "*"), k.register),
		op("DescribeCertificate", "GET /certificates/{certificateId}", onIoT[certificateInput]("iot:DescribeCertificate"), k.describeCertificate),
		op("UpdateCertificate", "PUT /certificates/{certificateId}", onIoT[updateCertificateInput]("iot:UpdateCertificate"), k.updateCertificate),
		op("DeleteCertificate", "DELETE /certificates/{certificateId}", onIoT[deleteCertificateInput]("iot:DeleteCertificate"), k.deleteCertificate),
		op("ListCertificates", "GET /certificates", on[markerInput]("iot:ListCertificates", "*"), k.listCertificates),
	}
}

type createKeysInput struct {
	Active bool `aws:"query,setAsActive"`
}

type keyPair struct {
	PublicKey  string
	PrivateKey string
}

type createKeysOutput struct {
	ARN  strait.ARN `json:"certificateArn"`
	ID   string     `json:"certificateId"`
	PEM  string     `json:"certificatePem"`
	Keys *keyPair   `json:"keyPair,omitempty"`
}

func status(active bool) identity.CertificateStatus {
	if active {
		return identity.Active
	}
	return identity.Inactive
}

func (k iotDesk) createKeys(ctx context.Context, _ Call, in *createKeysInput) (*createKeysOutput, error) {
	pair, err := k.authority.NewDevice()
	if err != nil {
		return nil, err
	}
	out, err := k.record(ctx, pair.Certificate, status(in.Active), "DEFAULT")
	if err != nil {
		return nil, err
	}
	out.Keys = &keyPair{pair.PublicKey, pair.PrivateKey}
	return out, nil
}

func (k iotDesk) record(ctx context.Context, pem string, s identity.CertificateStatus, mode string) (*createKeysOutput, error) {
	c, err := k.directory.RegisterCertificate(ctx, identity.CertificateRecord{PEM: pem, Status: s, Mode: mode})
	if err != nil {
		return nil, err
	}
	return &createKeysOutput{ARN: c.ARN(k.directory.Place()), ID: c.ID, PEM: pem}, nil
}

type createFromCSRInput struct {
	Active bool   `aws:"query,setAsActive" json:"-"`
	CSR    string `json:"certificateSigningRequest"`
}

func (k iotDesk) createFromCSR(ctx context.Context, _ Call, in *createFromCSRInput) (*createKeysOutput, error) {
	pem, err := k.authority.SignRequest(in.CSR)
	if err != nil {
		return nil, err
	}
	return k.record(ctx, pem, status(in.Active), "DEFAULT")
}

type registerInput struct {
	PEM    string `json:"certificatePem"`
	Status string `json:"status"`
}

type registerOutput struct {
	ARN strait.ARN `json:"certificateArn"`
	ID  string     `json:"certificateId"`
}

func (k iotDesk) register(ctx context.Context, _ Call, in *registerInput) (*registerOutput, error) {
	s := identity.CertificateStatus(in.Status)
	switch s {
	case "":
		s = identity.Inactive
	case identity.Active, identity.Inactive, identity.Revoked:
	default:
		return nil, strait.Errorf(strait.Conflict, "certificate state", "Not allowed to register certificate with %s status", in.Status)
	}
	out, err := k.record(ctx, in.PEM, s, "SNI_ONLY")
	if err != nil {
		return nil, err
	}
	return &registerOutput{out.ARN, out.ID}, nil
}

type certificateInput struct {
	ID string `aws:"path,certificateId"`
}

func (in *certificateInput) resource() string { return "cert/" + in.ID }

type validity struct {
	NotBefore Epoch `json:"notBefore"`
	NotAfter  Epoch `json:"notAfter"`
}

type certificateDescription struct {
	ARN          strait.ARN                 `json:"certificateArn"`
	ID           string                     `json:"certificateId"`
	CA           string                     `json:"caCertificateId,omitempty"`
	Status       identity.CertificateStatus `json:"status"`
	PEM          string                     `json:"certificatePem,omitempty"`
	Owner        string                     `json:"ownedBy,omitempty"`
	Created      Epoch                      `json:"creationDate"`
	Modified     *Epoch                     `json:"lastModifiedDate,omitempty"`
	Version      int                        `json:"customerVersion,omitempty"`
	GenerationID string                     `json:"generationId,omitempty"`
	Validity     *validity                  `json:"validity,omitempty"`
	Mode         string                     `json:"certificateMode"`
}

type describeCertificateOutput struct {
	Description certificateDescription `json:"certificateDescription"`
}

func (k iotDesk) describeCertificate(_ context.Context, _ Call, in *certificateInput) (*describeCertificateOutput, error) {
	c := k.directory.CertificateByID(in.ID)
	if c == nil {
		return nil, strait.Errorf(strait.NotFound, "certificate", "The certificate %s does not exist.", in.ID)
	}
	modified := Epoch(c.Modified)
	return &describeCertificateOutput{certificateDescription{
		ARN: c.ARN(k.directory.Place()), ID: c.ID, CA: c.CA, Status: c.Status, PEM: c.PEM, Owner: k.directory.Place().Account, Created: Epoch(c.Created),
		Modified: &modified, Version: c.Version, Validity: &validity{Epoch(c.NotBefore), Epoch(c.NotAfter)}, Mode: c.Mode,
	}}, nil
}

type updateCertificateInput struct {
	ID     string `aws:"path,certificateId"`
	Status string `aws:"query,newStatus"`
}

func (in *updateCertificateInput) resource() string { return "cert/" + in.ID }

func (k iotDesk) updateCertificate(ctx context.Context, _ Call, in *updateCertificateInput) (*Nothing, error) {
	s := identity.CertificateStatus(in.Status)
	switch s {
	case identity.Active, identity.Inactive, identity.Revoked:
	default:
		return nil, strait.Errorf(strait.Invalid, "request", "The status %q cannot be set: use ACTIVE, INACTIVE or REVOKED.", in.Status)
	}
	return nil, k.directory.ChangeCertificate(ctx, in.ID, func(c *identity.CertificateRecord) error {
		c.Status = s
		return nil
	})
}

type deleteCertificateInput struct {
	ID    string `aws:"path,certificateId"`
	Force bool   `aws:"query,forceDelete"`
}

func (in *deleteCertificateInput) resource() string { return "cert/" + in.ID }

func (k iotDesk) deleteCertificate(ctx context.Context, _ Call, in *deleteCertificateInput) (*Nothing, error) {
	return nil, k.directory.DeleteCertificate(ctx, in.ID, in.Force)
}

type markerInput struct {
	Marker    string `aws:"query,marker"`
	Size      *int   `aws:"query,pageSize"`
	Ascending bool   `aws:"query,isAscendingOrder"`
}

// pageMade is page in the order in which items were made: the newest first,
// or, ascending, the oldest.
func pageMade[T any](in *markerInput, items []T, made func(T) (time.Time, string)) ([]T, string, error) {
	when := func(v T) (int64, string) {
		at, name := made(v)
		if in.Ascending {
			return at.UnixNano(), name
		}
		return math.MaxInt64 - at.UnixNano(), name
	}
	sort.Slice(items, func(i, j int) bool {
		a, first := when(items[i])
		b, second := when(items[j])
		return a < b || a == b && first < second
	})
	return page(items, func(v T) string {
		n, name := when(v)
		return fmt.Sprintf("%016x %s", n, name)
	}, in.Marker, in.Size)
}

type listCertificatesOutput struct {
	Certificates []certificateDescription `json:"certificates"`
	Marker       string                   `json:"nextMarker,omitempty"`
}

func (k iotDesk) listCertificates(_ context.Context, _ Call, in *markerInput) (*listCertificatesOutput, error) {
	return k.listedCertificates(k.directory.Certificates(), *in)
}

func (k iotDesk) listedCertificates(all []*identity.CertificateRecord, in markerInput) (*listCertificatesOutput, error) {
	cs, next, err := pageMade(&in, all, func(c *identity.CertificateRecord) (time.Time, string) { return c.Created, c.ID })
	out := &listCertificatesOutput{Certificates: []certificateDescription{}, Marker: next}
	for _, c := range cs {
		out.Certificates = append(out.Certificates, certificateDescription{ARN: c.ARN(k.directory.Place()), ID: c.ID, Status: c.Status, Created: Epoch(c.Created), Mode: c.Mode})
	}
	return out, err
}
