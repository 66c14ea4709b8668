package device_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"strait/device"
)

// Paho's pings go out beside its other packets, whichever goroutine that is:
// each arrives whole, and nothing panics.
func TestWritesBesideEachOther(t *testing.T) {
	const writers, rounds = 4, 500
	got := make(chan map[string]int, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		seen := map[string]int{}
		for range writers * rounds {
			_, p, err := c.ReadMessage()
			if err != nil {
				break
			}
			seen[string(p)]++
		}
		got <- seen
	}))
	defer s.Close()
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	conn := device.Stream(ws)
	var wait sync.WaitGroup
	for i := range writers {
		packet := bytes.Repeat([]byte{'a' + byte(i)}, 1<<(4*i))
		wait.Go(func() {
			for range rounds {
				err := conn.SetWriteDeadline(time.Now().Add(patience))
				_, werr := io.Copy(conn, bytes.NewReader(packet))
				if err := errors.Join(err, werr); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	for packet, n := range <-got {
		if n != rounds || strings.Trim(packet, packet[:1]) != "" {
			t.Errorf("%.10q of %d bytes came %d times, want %d", packet, len(packet), n, rounds)
		}
	}
}
