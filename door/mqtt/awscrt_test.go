package mqtt_test

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"strait/door/mqtt"
)

// crtScript connects with the library under AWS's v2 device SDKs, by mutual
// TLS or by WebSocket, subscribes to a topic and publishes to it.
const crtScript = `
import sys, threading
from awscrt import io, mqtt
mode, host, port, folder = sys.argv[1:]
group = io.EventLoopGroup(1)
boot = io.ClientBootstrap(group, io.DefaultHostResolver(group))
tls = None
if mode == "tls":
    o = io.TlsContextOptions.create_client_with_mtls_from_path(folder + "/cert.pem", folder + "/key.pem")
    o.override_default_trust_store_from_path(None, folder + "/ca.pem")
    o.alpn_list = ["x-amzn-mqtt-ca"]
    tls = io.ClientTlsContext(o)
c = mqtt.Connection(client=mqtt.Client(boot, tls), host_name=host, port=int(port), client_id="crt", clean_session=False,
    keep_alive_secs=6, ping_timeout_ms=3000, username="?SDK=PythonV2&Version=1.0", use_websockets=mode == "ws")
got = threading.Event()
print("present", c.connect().result(10)["session_present"])
f, _ = c.subscribe("test", mqtt.QoS.AT_LEAST_ONCE, lambda topic, payload, **k: (print(topic, payload.decode()), got.set()))
f.result(10)
c.publish("test", "hello", mqtt.QoS.AT_LEAST_ONCE)[0].result(10)
assert got.wait(10)
c.disconnect().result(10)
`

func TestAwscrt(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which is the one that has python3-awscrt
	if err := exec.Command(python, "-c", "import awscrt").Run(); err != nil {
		missing(t, "awscrt")
	}
	h := open(t, mqtt.Limits{})
	tlsAddr, server, device := h.tlsListener()
	key, err := x509.MarshalPKCS8PrivateKey(device.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"ca.pem":   {Type: "CERTIFICATE", Bytes: server.Certificate[0]},
		"cert.pem": {Type: "CERTIFICATE", Bytes: device.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, run := range []struct{ mode, addr, want string }{
		{"tls", tlsAddr, "present False\ntest hello\n"},
		{"ws", h.webSocket(), "present True\ntest hello\n"}, // the same client, so the same session
	} {
		_, port, _ := net.SplitHostPort(run.addr)
		out, err := exec.Command(python, "-c", crtScript, run.mode, "127.0.0.1", port, dir).CombinedOutput()
		if err != nil || string(out) != run.want {
			t.Errorf("awscrt over %s: %v, printed\n%s", run.mode, err, out)
			continue
		}
		if c := <-h.came; c.Username != "?SDK=PythonV2&Version=1.0" || c.KeepAlive.Seconds() != 30 {
			t.Errorf("awscrt over %s: the connector learned %+v", run.mode, c)
		}
		h.ended(mqtt.Disconnected)
	}
}
