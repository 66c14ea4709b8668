package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// serveMochi is the process of mochi-mqtt: args are the address and the folder
// of the world.
func serveMochi(args []string) error {
	if len(args) != 2 {
		return errors.New("want an address and a folder")
	}
	addr, dir := args[0], args[1]
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	caps := mochi.NewDefaultServerCapabilities()
	caps.ReceiveMaximum = 100
	s := mochi.New(&mochi.Options{Capabilities: caps, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := s.AddHook(new(aclHook), nil); err != nil {
		return err
	}
	err = s.AddListener(listeners.NewTCP(listeners.Config{ID: "tls", Address: addr, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, SessionTicketsDisabled: true,
	}}))
	if err != nil {
		return err
	}
	if err := s.Serve(); err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	<-end
	return s.Close()
}

// aclHook decides what the other servers' policies say.
type aclHook struct{ mochi.HookBase }

func (h *aclHook) ID() string { return "acl" }

func (h *aclHook) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck}, b) >= 0
}

func (h *aclHook) OnConnectAuthenticate(cl *mochi.Client, _ packets.Packet) bool {
	var nc net.Conn = cl.Net.Conn
	t, ok := nc.(*tls.Conn)
	if !ok {
		return false
	}
	peers := t.ConnectionState().PeerCertificates
	return len(peers) > 0 && peers[0].Subject.CommonName == cl.ID
}

func (h *aclHook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	rest, ok := strings.CutPrefix(topic, "b/")
	if !write {
		return ok
	}
	rest, own := strings.CutPrefix(rest, cl.ID)
	return ok && own && strings.HasPrefix(rest, "/")
}
