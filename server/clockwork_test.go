package server_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"strait"
	"strait/await"
	"strait/server"
)

// TestMissedSchedule: what fell due while the server was down is called after
// the restart, once, as Scheduler: with the target's role, for its group.
func TestMissedSchedule(t *testing.T) {
	var ahead atomic.Int64
	cfg := server.Config{
		Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"}, Hosts: []string{"localhost"},
		HTTPS: []string{"127.0.0.1:0"}, MQTT: []string{"127.0.0.1:0"},
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	}
	y := raiseWith(t, func(c *server.Config) { c.Data, c.Now = cfg.Data, cfg.Now }, shadows)
	d := y.desk()
	d.role("scheduler", "scheduler.amazonaws.com")
	d.service = "scheduler"
	at := time.Now().UTC().Add(time.Hour).Format("2006-01-02T15:04:05")
	if status, body := d.ask("POST", "/schedules/nightly", `{"ScheduleExpression":"at(`+at+`)","FlexibleTimeWindow":{"Mode":"OFF"},"Target":{"Arn":"arn:aws:lambda:ap-northeast-1:123456789012:function:f","RoleArn":"arn:aws:iam::123456789012:role/scheduler"}}`); status != 200 {
		t.Fatalf("create a schedule: %d %s", status, body)
	}
	if err := y.server.Close(); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(90 * time.Minute))
	s, err := server.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	// The role may not call the function, which is how the call shows: the
	// session is Scheduler's, and the refusal ends it.
	var asked, ended int
	await.Until(t, "the schedule's call after the restart", func() bool {
		asked = 0
		records, _ := s.Recorder().Since("")
		for _, r := range records {
			switch {
			case r.Action == "lambda:InvokeFunction" && strings.HasSuffix(string(r.Principal), ":assumed-role/scheduler/schedule-nightly"):
				asked += max(r.Count, 1)
			case r.Layer == "schedule" && r.Broken && strings.Contains(r.Event, "schedule nightly, due at "+at):
				ended++
			}
		}
		return ended > 0
	})
	if asked != 1 || ended != 1 {
		t.Errorf("the missed schedule was called %d times and given up %d times", asked, ended)
	}
}

// TestWillToShadow: a will may name a topic of a shadow, and is a message as
// any other; the shadow is not asked by it.
func TestWillToShadow(t *testing.T) {
	y := raise(t, "", shadows)
	const topic = "$aws/things/device00/shadow/update"
	w := y.connect("watcher", paho.Connect{})
	w.subscribe(topic)
	w.subscribe(topic + "/+")
	g := y.connect("device00", paho.Connect{WillMessage: &paho.WillMessage{Topic: topic, QoS: 1, Payload: []byte(`{"state":{"reported":{"connected":false}}}`)}})
	if err := g.c.Disconnect(&paho.Disconnect{ReasonCode: 4}); err != nil { // with its will
		t.Fatal(err)
	}
	if p := w.next(); p.Topic != topic {
		t.Errorf("the will came on %s", p.Topic)
	}
	if err := w.publish("$aws/things/device00/shadow/update", `{"state":{"reported":{"connected":true}}}`); err != nil {
		t.Fatal(err)
	}
	w.next() // the request itself
	w.wantNext("update/accepted", `{"version":1}`)
}
