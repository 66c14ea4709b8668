// Package ca is the certificate authority of the house: it signs the
// certificates of devices and of the house's own listeners. It keeps its key
// and certificate in one directory and knows nothing about who may have a
// certificate. Begin with Open.
package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"strait"
)

// An Authority signs with the key in its directory.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
	now  func() time.Time
}

// forever is the end of device certificates, as AWS gives them
// (iot-control-plane.md, section 4).
var forever = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)

// Open reads the authority in dir, files ca.pem and ca.key, and makes it when
// there is none.
func Open(dir string, now func() time.Time) (*Authority, error) {
	a := &Authority{dir: dir, now: now}
	pair, err := tls.LoadX509KeyPair(a.File(), a.keyFile())
	switch {
	case err == nil:
		if a.cert, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("read the certificate authority: %w", err)
		}
		a.key = pair.PrivateKey.(crypto.Signer)
		return a, nil
	case errors.Is(err, fs.ErrNotExist):
		if _, e := os.Stat(a.File()); e == nil {
			return nil, fmt.Errorf("%s is there but its key %s is not: restore the key, or remove both to start anew (devices must then be provisioned again)", a.File(), a.keyFile())
		}
		return a, a.create()
	}
	return nil, fmt.Errorf("read the certificate authority: %w", err)
}

// File is the path of the authority's certificate, which clients trust.
func (a *Authority) File() string { return filepath.Join(a.dir, "ca.pem") }

func (a *Authority) keyFile() string { return filepath.Join(a.dir, "ca.key") }

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *Authority) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Strait CA", Organization: []string{"Strait"}},
		NotBefore: a.now().Add(-24 * time.Hour), NotAfter: forever,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The key first: a certificate without its key would be of no use.
	if err := WriteFile(a.keyFile(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})); err != nil {
		return err
	}
	return WriteFile(a.File(), a.PEM())
}

// WriteFile writes a file that only its owner may read, whole or not at all,
// and durable when it returns.
func WriteFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}

// A KeyPair is a device's new certificate and key, all PEM.
type KeyPair struct{ Certificate, PublicKey, PrivateKey string }

// NewDevice makes a key (RSA 2048, PKCS#1 as AWS does) and signs a
// certificate for it.
func (a *Authority) NewDevice() (KeyPair, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return KeyPair{}, err
	}
	crt, err := a.sign(pkix.Name{CommonName: "AWS IoT Certificate"}, &key.PublicKey)
	if err != nil {
		return KeyPair{}, err
	}
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{
		Certificate: crt,
		PublicKey:   string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})),
		PrivateKey:  string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	}, nil
}

// SignRequest signs a certificate for a PEM request: RSA of 2048 bits or more,
// or one of NIST's curves.
func (a *Authority) SignRequest(csr string) (string, error) {
	bad := func(why string) error {
		return strait.Errorf(strait.Invalid, "request", "The certificate signing request is invalid: %s.", why)
	}
	b, _ := pem.Decode([]byte(csr))
	if b == nil {
		return "", bad("it is not PEM")
	}
	r, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		return "", bad("it cannot be parsed")
	}
	if err := r.CheckSignature(); err != nil {
		return "", bad("its signature is wrong")
	}
	switch k := r.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return "", bad("an RSA key needs 2048 bits")
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			return "", bad("the curve must be P-256, P-384 or P-521")
		}
	default:
		return "", bad("the key must be RSA or ECDSA")
	}
	return a.sign(r.Subject, r.PublicKey)
}

func (a *Authority) sign(subject pkix.Name, key crypto.PublicKey) (string, error) {
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: subject,
		NotBefore: a.now().Add(-2 * time.Minute), NotAfter: forever,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key, a.key)
	if err != nil {
		return "", strait.Errorf(strait.Invalid, "request", "The certificate cannot be signed: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// Server returns the certificate of the listeners for names (host names, with
// or without a leading "*.", and addresses). It is kept in the directory, and
// made anew when the names have changed or it is about to end.
func (a *Authority) Server(names []string) (tls.Certificate, error) {
	file := filepath.Join(a.dir, "server.pem")
	if pair, err := tls.LoadX509KeyPair(file, file); err == nil && a.fits(pair, names) {
		return pair, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: a.now().Add(-24 * time.Hour), NotAfter: a.now().AddDate(2, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if len(names[0]) > 64 {
		t.Subject.CommonName = "Strait" // a common name has 64 characters at most; clients look at the names below
	}
	t.DNSNames, t.IPAddresses = split(names)
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign the server's certificate: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	b.Write(a.PEM())
	pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	if err := WriteFile(file, b.Bytes()); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(b.Bytes(), b.Bytes())
}

func split(names []string) (dns []string, ips []net.IP) {
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, n)
		}
	}
	return dns, ips
}

// fits tells whether pair is ours, for exactly these names, and will last.
func (a *Authority) fits(pair tls.Certificate, names []string) bool {
	crt, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || crt.CheckSignatureFrom(a.cert) != nil || a.now().AddDate(0, 1, 0).After(crt.NotAfter) {
		return false
	}
	dns, ips := split(names)
	if len(dns) != len(crt.DNSNames) || len(ips) != len(crt.IPAddresses) {
		return false
	}
	for i := range dns {
		if dns[i] != crt.DNSNames[i] {
			return false
		}
	}
	for i := range ips {
		if !ips[i].Equal(crt.IPAddresses[i]) {
			return false
		}
	}
	return true
}
