package server

import (
	"context"
	"net"
	nethttp "net/http"
	"strconv"
	"time"

	"strait/api"
	"strait/door/http"
	"strait/door/mqtt"
	"strait/metric"
)

// meters are what Config.Metrics shows; nil when nobody asked for it.
type meters struct {
	set      metric.Set
	mqtt     api.Meters
	stored   *metric.Histogram
	requests *metric.Counter
	took     *metric.Histogram
	in, out  *metric.Counter
	rules    *metric.Counter
}

// listenMetrics binds the address; without a host it is this machine's own.
func (s *Server) listenMetrics(ctx context.Context) error {
	if s.cfg.Metrics == "" {
		return nil
	}
	addr := s.cfg.Metrics
	if host, port, err := net.SplitHostPort(addr); err == nil && host == "" {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	l, err := s.listen(ctx, addr)
	if err != nil {
		return err
	}
	s.listeners.metrics = []net.Listener{l}
	m := &meters{}
	m.mqtt.Ended = m.set.Counter("strait_mqtt_disconnects_total", "MQTT connections that ended, by the reason of the lifecycle event.", "reason")
	m.mqtt.Safe = m.set.Histogram("strait_mqtt_puback_seconds", "From a PUBLISH of QoS 1 until it was safe; one of 16 is timed.")
	m.mqtt.Delivered = m.set.Histogram("strait_mqtt_delivery_seconds", "From accepting a message until it went on the wire; some are timed.")
	m.stored = m.set.Histogram("strait_broker_store_seconds", "How long batches of messages took to become durable.")
	m.requests = m.set.Counter("strait_http_requests_total", "HTTP requests.", "service", "operation", "status")
	m.took = m.set.Histogram("strait_http_request_seconds", "How long HTTP requests took.", "service", "operation")
	m.in = m.set.Counter("strait_http_request_bytes_total", "Bytes of request bodies: uploads, for s3.", "service", "operation")
	m.out = m.set.Counter("strait_http_response_bytes_total", "Bytes of response bodies: downloads, for s3.", "service", "operation")
	m.rules = m.set.Counter("strait_rule_events_total", "What became of messages at topic rules.", "step")
	s.meters = m
	return nil
}

// stored returns what the broker tells about its store, nil for nothing.
func (m *meters) storing() func(time.Duration) {
	if m == nil {
		return nil
	}
	return func(took time.Duration) { m.stored.Observe(took) }
}

// observing returns what the HTTP door tells about its exchanges.
func (m *meters) observing() func(http.Exchange) {
	if m == nil {
		return nil
	}
	return func(e http.Exchange) {
		m.requests.Add(1, e.Service, e.Operation, strconv.Itoa(e.Status))
		m.took.Observe(e.Took, e.Service, e.Operation)
		m.in.Add(uint64(e.In), e.Service, e.Operation)
		m.out.Add(uint64(e.Out), e.Service, e.Operation)
	}
}

func (m *meters) rule(step string) {
	if m != nil {
		m.rules.Add(1, step)
	}
}

// serveMetrics adds what is read when somebody looks, and answers.
func (s *Server) serveMetrics(messages *mqtt.Server) {
	m := s.meters
	if m == nil {
		return
	}
	one := func(read func() float64) func(func(float64, ...string)) {
		return func(tell func(float64, ...string)) { tell(read()) }
	}
	m.set.Gauge("strait_mqtt_connections", "MQTT connections: admitted ones, and those that are on their way.", func(tell func(float64, ...string)) {
		open, pending := messages.Open()
		tell(float64(open-pending), "open")
		tell(float64(pending), "pending")
	}, "state")
	m.set.Count("strait_mqtt_packets_total", "What MQTT clients did and got, by kind, QoS and verdict.", func(tell func(float64, ...string)) {
		s.mqtt.Counts(func(n uint64, deed, qos, outcome string) { tell(float64(n), deed, qos, outcome) })
	}, "kind", "qos", "verdict")
	stats := s.broker.Stats
	m.set.Count("strait_broker_published_total", "Messages accepted, from clients, HTTP, rules and the server itself.", one(func() float64 { return float64(stats().Published) }))
	m.set.Count("strait_broker_delivered_total", "Messages given to connections.", one(func() float64 { return float64(stats().Delivered) }))
	m.set.Count("strait_broker_dropped_total", "Messages that a queue had no room for.", one(func() float64 { return float64(stats().Dropped) }))
	m.set.Gauge("strait_broker_sessions", "Sessions, connected or kept.", one(func() float64 { return float64(stats().Sessions) }))
	m.set.Gauge("strait_broker_retained", "Retained messages.", one(func() float64 { return float64(stats().Retained) }))
	m.set.Gauge("strait_broker_queue_messages", "Messages in queues, on disk or in memory only.", func(tell func(float64, ...string)) {
		d := s.broker.Depth()
		tell(float64(d.Stored), "disk")
		tell(float64(d.Memory), "memory")
	}, "where")
	m.set.Gauge("strait_broker_queue_bytes", "Their bytes.", func(tell func(float64, ...string)) {
		d := s.broker.Depth()
		tell(float64(d.StoredBytes), "disk")
		tell(float64(d.MemoryBytes), "memory")
	}, "where")
	m.set.Gauge("strait_broker_queue_longest_messages", "Messages in the longest queue.", one(func() float64 { return float64(s.broker.Depth().Longest) }))
	m.set.Count("strait_decisions_total", "Decisions about requests, messages and deliveries, by verdict.", func(tell func(float64, ...string)) {
		s.authorizer.Recorder.Decisions(func(n uint64, effect string) { tell(float64(n), effect) })
	}, "verdict")
	m.set.Process(s.started)

	mux := nethttp.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = m.set.WriteTo(w)
	})
	for _, l := range s.listeners.metrics {
		s.run(l, mux, nil)
	}
}
