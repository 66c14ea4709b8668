package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// people is how many clients the flows need at most.
const people = 256

// A world is who may connect: an authority, a certificate for the peers'
// servers, and one for each client, whose common name is its client id.
type world struct {
	dir     string
	ca      *x509.Certificate
	key     *ecdsa.PrivateKey
	clients []tls.Certificate
}

func newWorld(dir string, clients int) (*world, error) {
	w := &world{dir: dir, clients: make([]tls.Certificate, clients)}
	var err error
	if w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, ca(), ca(), &w.key.PublicKey, w.key)
	if err != nil {
		return nil, err
	}
	if w.ca, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	server, err := w.issue(template("localhost", 2))
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalECPrivateKey(server.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		return nil, err
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: der}, "server.pem": {Type: "CERTIFICATE", Bytes: server.Certificate[0]},
		"server.key": {Type: "EC PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(w.file(name), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return w, parallel(clients, func(i int) (err error) {
		w.clients[i], err = w.issue(template(id(i), int64(i)+3))
		return err
	})
}

// id is the name of client i.
func id(i int) string { return fmt.Sprintf("d%05d", i) }

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func ca() *x509.Certificate {
	c := template("bench", 1)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	return c
}

func template(name string, number int64) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(number), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

func (w *world) issue(t *x509.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, w.ca, &key.PublicKey, w.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// pem is the certificate of client i.
func (w *world) pem(i int) string {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: w.clients[i].Certificate[0]}) // never fails
	return b.String()
}

// parallel calls f for 0 to n-1, a few at once, and returns the first error.
func parallel(n int, f func(int) error) error {
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	next := make(chan int)
	for range 4 * runtime.NumCPU() {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return first
}

// raiseFiles lets this process, and those that it starts, open as many files as
// it may, and returns how many that are.
func raiseFiles() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	l.Cur = l.Max
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) // what there is, is what counts
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Cur
}
