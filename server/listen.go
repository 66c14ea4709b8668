package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"slices"
	"strings"
)

type listeners struct{ mqtt, https, certs, http, metrics []net.Listener }

// ALPN names (iot-mqtt.md, section 1). Who offers only others is turned away by
// crypto/tls.
const (
	alpnMQTT   = "x-amzn-mqtt-ca"
	alpnHTTP   = "x-amzn-http-ca"
	alpnCustom = "mqtt" // without a certificate, for what AWS calls custom authorizers
	alpnWeb    = "http/1.1"
)

// openListeners binds every address, before the engines open: functions are
// told where the server is when they start.
func (s *Server) openListeners(ctx context.Context) error {
	for _, kind := range []struct {
		to    *[]net.Listener
		addrs []string
	}{{&s.listeners.mqtt, s.cfg.MQTT}, {&s.listeners.https, s.cfg.HTTPS}, {&s.listeners.certs, s.cfg.HTTPSCert}, {&s.listeners.http, s.cfg.HTTP}} {
		for _, a := range kind.addrs {
			if a == "" {
				continue
			}
			l, err := s.listen(ctx, a)
			if err != nil {
				return err
			}
			*kind.to = append(*kind.to, l)
		}
	}
	return s.listenMetrics(ctx)
}

func (s *Server) listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w (is another server running there? choose another address, or port 0 for a free one)", addr, err)
	}
	s.later(func() error { l.Close(); return nil })
	return l, nil
}

// deviceTLS is for listeners of MQTT with certificates. Any certificate is
// accepted here, also none: who it is, and whether that is enough, is decided
// at CONNECT, where a refusal can be recorded. There are no session tickets, so
// that every connection proves its key.
func deviceTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		ClientAuth: tls.RequestClientCert, NextProtos: []string{alpnMQTT, alpnCustom},
	}
}

// webTLS is for listeners of HTTPS and WebSocket, where a certificate is asked
// for only when the client's ALPN says that it has one: awscrt's WebSocket
// mode fails when it is asked (clients.md, 1).
func webTLS(cert tls.Certificate) *tls.Config {
	plain := &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		NextProtos: []string{alpnWeb, alpnMQTT, alpnHTTP, alpnCustom},
	}
	asking := askingTLS(cert)
	plain.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, alpnMQTT) || slices.Contains(hello.SupportedProtos, alpnHTTP) ||
			strings.Contains(hello.ServerName, ".credentials.iot.") || strings.HasPrefix(hello.ServerName, "credentials.") {
			return asking, nil
		}
		return nil, nil
	}
	return plain
}

// askingTLS is for listeners of HTTPS that always ask for a certificate, as AWS
// does on 8443; who it is, is decided by what is asked for.
func askingTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		ClientAuth: tls.RequestClientCert, NextProtos: []string{alpnMQTT, alpnHTTP, alpnWeb, alpnCustom},
	}
}

// quiet hands net/http's own complaints (broken handshakes of strangers) to
// the debug log.
func quiet(l *slog.Logger) *log.Logger {
	return log.New(writer{l}, "", 0)
}

type writer struct{ log *slog.Logger }

func (w writer) Write(p []byte) (int, error) {
	w.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}

var _ io.Writer = writer{}
