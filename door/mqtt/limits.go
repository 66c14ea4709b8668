package mqtt

import (
	"runtime"
	"time"
)

// Limits bound what a client may send and how long it may take. A field that
// is zero has its default; the structural ones are AWS IoT Core's (General
// Reference, "AWS IoT Core endpoints and quotas").
type Limits struct {
	Payload  int // bytes of a PUBLISH's payload; 131,072
	Packet   int // bytes of a packet after its fixed header; 149,504
	ClientID int // bytes; 128
	Filters  int // in one SUBSCRIBE or UNSUBSCRIBE; 8
	Inflight int // inbound QoS 1 messages that are not safe yet; 100
	// Of MQTT 5.
	Aliases     int // topic aliases in each direction; 8
	ContentType int // bytes; 256
	Correlation int // bytes of correlation data; 8,192
	User        int // bytes of all user properties of a packet; 8,192

	SessionExpiry time.Duration // the longest that a client may ask for in MQTT 5; 1 h

	// Quotas, 0 for none; see AWS.
	Publishes int // a second on a connection, in and out together; what comes beyond is dropped
	Bytes     int // a second on a connection; what exceeds it is delayed

	KeepAliveMin time.Duration // a shorter one is raised to it; 30 s
	KeepAliveMax time.Duration // for a longer one, and for 0; 1,200 s

	Handshake time.Duration // for the TLS handshake; 10 s
	Connect   time.Duration // for the CONNECT to come, and again for it to be decided; 10 s
	Write     time.Duration // for the client to take up to 64 KiB; 30 s

	Connects    int // a second that are admitted, others wait; 1,000 for each processor
	Connections int // open at once; 500,000
	Pending     int // of these, not admitted yet; 4,096
}

func (l Limits) withDefaults() Limits {
	set(&l.Payload, 128<<10)
	set(&l.Packet, 146<<10)
	set(&l.ClientID, 128)
	set(&l.Filters, 8)
	set(&l.Inflight, 100)
	set(&l.Aliases, 8)
	set(&l.ContentType, 256)
	set(&l.Correlation, 8<<10)
	set(&l.User, 8<<10)
	set(&l.SessionExpiry, time.Hour)
	set(&l.KeepAliveMin, 30*time.Second)
	set(&l.KeepAliveMax, 1200*time.Second)
	set(&l.Handshake, 10*time.Second)
	set(&l.Connect, 10*time.Second)
	set(&l.Write, 30*time.Second)
	set(&l.Connects, 1000*runtime.GOMAXPROCS(0))
	set(&l.Connections, 500_000)
	set(&l.Pending, 4096)
	return l
}

// AWS returns l with AWS IoT Core's quotas of rates, which are off otherwise.
func (l Limits) AWS() Limits {
	set(&l.Publishes, 100)
	set(&l.Bytes, 512<<10)
	return l
}

func set[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// keepAlive brings what a client asked for, in seconds, within the limits.
func (l Limits) keepAlive(seconds uint16) time.Duration {
	d := time.Duration(seconds) * time.Second
	if d == 0 || d > l.KeepAliveMax {
		return l.KeepAliveMax
	}
	return max(d, l.KeepAliveMin)
}
