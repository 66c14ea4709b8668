package setup

// A ThingResult is a device that can connect.
type ThingResult struct {
	Name        string
	Certificate string   // file, PEM
	Key         string   // file, PEM, 0600
	CA          string   // file, PEM; "" when none was written
	Endpoint    string   // host:port for MQTT with the certificate
	Connect     []string // what a person reads: how to connect
	Changed     []string // as in Result
}
