package server_test

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"strait/server"
)

// scrape returns the samples of /metrics by name and labels.
func (y *yard) scrape() map[string]float64 {
	y.Helper()
	resp, err := http.Get("http://" + y.server.Ready().Metrics[0] + "/metrics")
	if err != nil {
		y.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		y.Fatalf("%d %v, %v", resp.StatusCode, resp.Header, err)
	}
	out := map[string]float64{}
	line := regexp.MustCompile(`^([a-z_]+(?:\{.*\})?) ([0-9.e+-]+)$`)
	for l := range strings.Lines(string(b)) {
		if m := line.FindStringSubmatch(strings.TrimSpace(l)); m != nil {
			if out[m[1]], err = strconv.ParseFloat(m[2], 64); err != nil {
				y.Fatal(err)
			}
		} else if !strings.HasPrefix(l, "# ") {
			y.Errorf("no sample: %q", l)
		}
	}
	return out
}

// TestMetrics: what happened is counted, by who was refused what, and how long
// it took.
func TestMetrics(t *testing.T) {
	y := raiseWith(t, func(c *server.Config) { c.Metrics = ":0" }, narrow)
	if host, _, _ := net.SplitHostPort(y.server.Ready().Metrics[0]); host != "127.0.0.1" {
		t.Errorf("metrics are at %s, not on loopback", host)
	}
	a := y.connect("a", paho.Connect{})
	a.subscribe("ok/x")
	for range 20 {
		if _, err := a.c.Publish(t.Context(), &paho.Publish{Topic: "ok/x", QoS: 1, Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		a.next()
	}
	_, _ = a.c.Publish(t.Context(), &paho.Publish{Topic: "no/x", QoS: 1})
	g, ctx := y.dial("other")
	_, _ = g.c.Connect(ctx, &paho.Connect{ClientID: "other", KeepAlive: 30})
	d := y.desk()
	d.ask("POST", "/topics/ok/y", "12345")
	d.ask("GET", "/retainedMessage/none", "")
	got := y.scrape()
	for name, want := range map[string]float64{
		`strait_mqtt_connections{state="open"}`: 1, `strait_mqtt_connections{state="pending"}`: 0,
		`strait_mqtt_packets_total{kind="connect",qos="",verdict="ok"}`: 1, `strait_mqtt_packets_total{kind="connect",qos="",verdict="denied"}`: 1,
		`strait_mqtt_packets_total{kind="publish",qos="1",verdict="ok"}`: 20, `strait_mqtt_packets_total{kind="publish",qos="1",verdict="denied"}`: 1,
		`strait_mqtt_packets_total{kind="deliver",qos="1",verdict="ok"}`: 20, `strait_mqtt_packets_total{kind="subscribe",qos="",verdict="ok"}`: 1,
		`strait_http_requests_total{service="iotdata",operation="Publish",status="200"}`:            1,
		`strait_http_requests_total{service="iotdata",operation="GetRetainedMessage",status="404"}`: 1,
		`strait_http_request_bytes_total{service="iotdata",operation="Publish"}`:                    5,
		`strait_http_request_seconds_count{service="iotdata",operation="Publish"}`:                  1,
		`strait_broker_sessions`: 1, `strait_broker_queue_messages{where="disk"}`: 0, `strait_broker_published_total`: 21,
		`strait_decisions_total{verdict="explicit deny"}`: 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{`strait_decisions_total{verdict="allow"}`, `strait_decisions_total{verdict="implicit deny"}`, `strait_mqtt_delivery_seconds_count`, `process_resident_memory_bytes`, `go_goroutines`} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	// What a connection counted stays when it ends.
	if err := a.c.Disconnect(&paho.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	y.until("the end is counted", func() bool {
		return y.scrape()[`strait_mqtt_disconnects_total{reason="CLIENT_INITIATED_DISCONNECT"}`] == 1
	})
	if n := y.scrape()[`strait_mqtt_packets_total{kind="publish",qos="1",verdict="ok"}`]; n != 20 {
		t.Errorf("%v publishes after the end", n)
	}
	// Nothing else is served there.
	resp, err := http.Get("http://" + y.server.Ready().Metrics[0] + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("/: %d", resp.StatusCode)
	}
}

// TestNoMetrics: nothing listens unless it is asked for.
func TestNoMetrics(t *testing.T) {
	y := raise(t, "", narrow)
	if m := y.server.Ready().Metrics; len(m) != 0 {
		t.Errorf("metrics at %v", m)
	}
}
