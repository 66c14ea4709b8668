package setup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// A ThingResult is a device that can connect.
type ThingResult struct {
	Name        string
	Certificate string   // file, PEM
	Key         string   // file, PEM, 0600
	CA          string   // file, PEM; "" when none was written
	Endpoint    string   // host:port for MQTT with the certificate
	Connect     []string // what a person reads: how to connect
	Changed     []string // as in Result
}

// amazonRoot is where AWS keeps the certificate that its endpoints go back to.
const amazonRoot = "https://www.amazontrust.com/repository/AmazonRootCA1.pem"

// Thing makes a device of the upload pattern: the thing called name, a
// certificate with its key in dir, and DefaultThingPolicy, all attached. Files
// that are there are kept while their certificate is registered and active;
// others are put aside under the same names with ".old".
func Thing(ctx context.Context, s *Session, name, dir string) (ThingResult, error) {
	if err := checkThing(name); err != nil {
		return ThingResult{}, err
	}
	r, err := newRun(ctx, s, false, 0, nil)
	if err != nil {
		return ThingResult{}, err
	}
	file := filepath.Join(dir, name)
	out := ThingResult{Name: name, Certificate: file + ".cert.pem", Key: file + ".key.pem"}
	err = r.thing(ctx, &out, dir)
	out.Changed = r.changed
	return out, err
}

func (r *run) thing(ctx context.Context, out *ThingResult, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory for the certificate: %w", err)
	}
	if err := r.makeThing(ctx, out.Name); err != nil {
		return err
	}
	certificate, err := r.certificate(ctx, out)
	if err != nil {
		return err
	}
	if _, err := r.thingPolicy(ctx, "policy", DefaultThingPolicy); err != nil {
		return err
	}
	if err := r.attachPolicy(ctx, "policy", "the certificate", DefaultThingPolicy, certificate); err != nil {
		return err
	}
	if err := r.attachCertificate(ctx, out.Name, certificate); err != nil {
		return err
	}
	if err := r.ca(ctx, out, dir); err != nil {
		return err
	}
	return r.connect(ctx, out)
}

func (r *run) makeThing(ctx context.Context, name string) error {
	_, err := r.s.IoT.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: &name})
	switch {
	case err == nil:
		return nil
	case !missing(err):
		return failed("thing", "look at thing "+name, err)
	}
	return r.change(ctx, "thing", "create thing "+name, "", func(ctx context.Context) error {
		_, err := r.s.IoT.CreateThing(ctx, &iot.CreateThingInput{ThingName: &name})
		return err
	})
}

// certificate returns the ARN of the certificate whose files are there, made
// anew if it must be.
func (r *run) certificate(ctx context.Context, out *ThingResult) (string, error) {
	arn, err := r.kept(ctx, out)
	if err != nil || arn != "" {
		return arn, err
	}
	for _, f := range []string{out.Certificate, out.Key} {
		if err := os.Rename(f, f+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	err = r.change(ctx, "certificate", "create a certificate for thing "+out.Name, "", func(ctx context.Context) error {
		made, err := r.s.IoT.CreateKeysAndCertificate(ctx, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
		if err != nil {
			return err
		}
		arn = aws.ToString(made.CertificateArn)
		// The key exists nowhere else; it comes first, so that there is never a
		// certificate file without it.
		err = errors.Join(writeFile(out.Key, []byte(aws.ToString(made.KeyPair.PrivateKey)), 0o600),
			writeFile(out.Certificate, []byte(aws.ToString(made.CertificatePem)), 0o644))
		if err != nil {
			r.forget(ctx, aws.ToString(made.CertificateId))
		}
		return err
	})
	return arn, err
}

// forget removes a certificate whose key could not be kept, if it can.
func (r *run) forget(ctx context.Context, id string) {
	if _, err := r.s.IoT.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: &id, NewStatus: types.CertificateStatusInactive}); err == nil {
		r.s.IoT.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: &id})
	}
}

// kept returns the ARN of the certificate in the files, "" when the files are
// not there, do not belong together, or nobody here knows the certificate.
func (r *run) kept(ctx context.Context, out *ThingResult) (string, error) {
	cert, err := os.ReadFile(out.Certificate)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return "", err
	}
	key, err := os.ReadFile(out.Key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return "", nil
	}
	block, _ := pem.Decode(cert)
	sum := sha256.Sum256(block.Bytes)
	id := hex.EncodeToString(sum[:])
	known, err := r.s.IoT.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: &id})
	switch {
	case missing(err):
		return "", nil
	case err != nil:
		return "", failed("certificate", "look at certificate "+id, err)
	case known.CertificateDescription.Status != types.CertificateStatusActive:
		return "", fmt.Errorf("the certificate in %s is %s: activate it (aws iot update-certificate --certificate-id %s --new-status ACTIVE), or move the file away to get a new one",
			out.Certificate, known.CertificateDescription.Status, id)
	}
	return aws.ToString(known.CertificateDescription.CertificateArn), nil
}

func (r *run) attachCertificate(ctx context.Context, thing, certificate string) error {
	pages := iot.NewListThingPrincipalsPaginator(r.s.IoT, &iot.ListThingPrincipalsInput{ThingName: &thing})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return failed("certificate", "list the certificates of thing "+thing, err)
		}
		for _, p := range page.Principals {
			if p == certificate {
				return nil
			}
		}
	}
	return r.change(ctx, "certificate", "attach it to thing "+thing, "", func(ctx context.Context) error {
		_, err := r.s.IoT.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: &thing, Principal: &certificate})
		return err
	})
}

// ca copies the authority's certificate of an endpoint of one's own.
func (r *run) ca(ctx context.Context, out *ThingResult, dir string) error {
	if r.s.CAFile == "" {
		return nil
	}
	data, err := os.ReadFile(r.s.CAFile)
	if err != nil {
		return fmt.Errorf("read AWS_CA_BUNDLE: %w", err)
	}
	out.CA = filepath.Join(dir, "ca.pem")
	if have, err := os.ReadFile(out.CA); err == nil && bytes.Equal(have, data) {
		return nil
	}
	return r.change(ctx, "ca", "write "+out.CA, "", func(context.Context) error { return writeFile(out.CA, data, 0o644) })
}

// connect says where and how. The API knows the host alone; a port that is
// not MQTT's own comes from STRAIT_MQTT_ENDPOINT, which strait env sets.
func (r *run) connect(ctx context.Context, out *ThingResult) error {
	if out.Endpoint = os.Getenv("STRAIT_MQTT_ENDPOINT"); out.Endpoint == "" || r.s.Endpoint == "" {
		where, err := r.s.IoT.DescribeEndpoint(ctx, &iot.DescribeEndpointInput{EndpointType: aws.String("iot:Data-ATS")})
		if err != nil {
			return failed("endpoint", "ask for the endpoint of devices", err)
		}
		out.Endpoint = net.JoinHostPort(aws.ToString(where.EndpointAddress), "8883")
	}
	host, port, err := net.SplitHostPort(out.Endpoint)
	if err != nil {
		return fmt.Errorf("STRAIT_MQTT_ENDPOINT must be host:port: %w", err)
	}
	ca := out.CA
	if ca == "" {
		ca = "ca.pem"
		if r.s.Endpoint == "" {
			out.Connect = append(out.Connect, "curl -o ca.pem "+amazonRoot)
		} else {
			out.Connect = append(out.Connect, "# ca.pem is the server's ca.pem (AWS_CA_BUNDLE was not set)")
		}
	}
	out.Connect = append(out.Connect,
		fmt.Sprintf("mosquitto_sub -h %s -p %s --cafile %s --cert %s --key %s -i %s -q 1 -t %s",
			Quote(host), port, Quote(ca), Quote(out.Certificate), Quote(out.Key), Quote(out.Name), Quote(out.Name+"/token/res")),
		fmt.Sprintf("strait-agent upload FILE --endpoint %s --thing %s --cert %s --key %s --ca %s",
			Quote(out.Endpoint), Quote(out.Name), Quote(out.Certificate), Quote(out.Key), Quote(ca)))
	return nil
}

// writeFile writes the whole file or none; when it returns, the disk has it.
func writeFile(name string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".strait-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
