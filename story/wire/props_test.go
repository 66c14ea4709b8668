package wire_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	paho "github.com/eclipse/paho.mqtt.golang"

	"strait/await"
)

// props are what requests need that no answer gives.
type props struct {
	authorities map[string]*pair
	heard       chan []byte // what was posted to us
}

// A pair is an authority: its certificate and key.
type pair struct {
	crt *x509.Certificate
	key *ecdsa.PrivateKey
}

// prepare carries out a line that makes something:
//
//	needs python3                 the talk is for where this program is
//	zip code say.py               ${code}: base64 of a zip of testdata/code/say.py
//	ca root "Our CA"              ${root}: an authority's certificate
//	cert one root common-name     ${one}: a certificate that it signed
//	csr request                   ${request}: asks for a certificate
//	now time                      ${time}: milliseconds since 1970
//	mqtt device00 clean a/b c     a client that connects and subscribes to filters
//
//	listen hook                   ${hook}: the URL of one who listens to us
//	heard token member            ${token}: a member of what was posted there
//
// Certificates are written as they stand in JSON.
func (k *talk) prepare(word string, words []string) {
	k.t.Helper()
	switch {
	case word == "needs" && len(words) == 1:
		if _, err := exec.LookPath(words[0]); err != nil {
			if os.Getenv("CI") == "true" {
				k.t.Fatalf("%s is missing", words[0])
			}
			k.t.Skipf("%s is not here", words[0])
		}
	case word == "zip" && len(words) == 2:
		k.set(words[0], k.zipped(words[1]))
	case word == "ca" && len(words) == 2:
		k.set(words[0], k.authority(words[0], words[1]))
	case word == "cert" && len(words) == 3:
		k.set(words[0], k.certificate(words[1], words[2]))
	case word == "now" && len(words) == 1:
		k.values[words[0]] = strconv.FormatInt(time.Now().UnixMilli(), 10) // told as TIME
	case word == "csr" && len(words) == 1:
		k.set(words[0], k.request())
	case word == "listen" && len(words) == 1:
		k.listen(words[0])
	case word == "heard" && len(words) == 2:
		select {
		case b := <-k.props.heard:
			k.must(json.Unmarshal(b, &k.last))
			k.keep(words[0] + " " + words[1])
		case <-time.After(await.Patience):
			k.t.Fatal("nothing was posted to us")
		}
	case word == "mqtt" && len(words) >= 2:
		k.connect(words[0], words[1] == "clean", words[2:])
	default:
		k.t.Fatalf("nobody understands %q %q", word, words)
	}
}

func (k *talk) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// zipped is the same for the same file everywhere, as its digest is told.
func (k *talk) zipped(name string) string {
	k.t.Helper()
	text, err := os.ReadFile(path.Join("testdata/code", name))
	k.must(err)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Store}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	k.must(err)
	_, err = w.Write(text)
	k.must(err)
	k.must(z.Close())
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func inJSON(kind string, der []byte) string {
	return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), "\n", `\n`)
}

func (k *talk) template(name string) *x509.Certificate {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	k.must(err)
	return &x509.Certificate{SerialNumber: n, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
}

func (k *talk) authority(name, subject string) string {
	k.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.must(err)
	c := k.template(subject)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	k.must(err)
	crt, err := x509.ParseCertificate(der)
	k.must(err)
	if k.props.authorities == nil {
		k.props.authorities = map[string]*pair{}
	}
	k.props.authorities[name] = &pair{crt, key}
	return inJSON("CERTIFICATE", der)
}

func (k *talk) certificate(authority, subject string) string {
	k.t.Helper()
	a := k.props.authorities[authority]
	if a == nil {
		k.t.Fatalf("there is no authority %q", authority)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.must(err)
	der, err := x509.CreateCertificate(rand.Reader, k.template(subject), a.crt, key.Public(), a.key)
	k.must(err)
	return inJSON("CERTIFICATE", der)
}

func (k *talk) request() string {
	k.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.must(err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "device"}}, key)
	k.must(err)
	return inJSON("CERTIFICATE REQUEST", der)
}

func (k *talk) listen(name string) {
	k.props.heard = make(chan []byte, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			k.props.heard <- b
		}
	}))
	k.t.Cleanup(s.Close)
	k.set(name, s.URL)
}

// connect brings a client over a WebSocket, which is there until the talk ends
// or somebody ends it.
func (k *talk) connect(id string, clean bool, filters []string) {
	k.t.Helper()
	r, err := http.NewRequest("GET", k.base+"/mqtt?X-Amz-Expires=300", nil)
	k.must(err)
	nothing := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), k.admin, r, hex.EncodeToString(nothing[:]), "iotdevicegateway", region, time.Now())
	k.must(err)
	c := paho.NewClient(paho.NewClientOptions().AddBroker("ws" + strings.TrimPrefix(signed, "http")).SetClientID(id).SetCleanSession(clean).
		SetAutoReconnect(false).SetProtocolVersion(4).SetKeepAlive(300 * time.Second).
		SetDefaultPublishHandler(func(paho.Client, paho.Message) {})) // without one, nothing is acknowledged
	done := func(t paho.Token) {
		k.t.Helper()
		if !t.WaitTimeout(await.Patience) {
			k.t.Fatal("the MQTT client waits in vain")
		}
		k.must(t.Error())
	}
	done(c.Connect())
	k.t.Cleanup(func() { c.Disconnect(0) })
	for _, f := range filters {
		done(c.Subscribe(f, 1, nil))
	}
}
