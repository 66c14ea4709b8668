package http

import (
	"net"
	"net/http"
	"strings"
)

// mqttPath is the "service" of WebSocket connections.
const mqttPath = "/mqtt"

// scopeServices are the services by the name in the scope of a signature. Old
// models sign iot as execute-api (iot-control-plane.md, section 1).
var scopeServices = map[string]string{
	"s3": "s3", "sts": "sts", "iam": "iam", "lambda": "lambda", "iot": "iot", "execute-api": "iot",
	"iotdata": "iotdata", "iotdevicegateway": "iotdata", "strait": "strait",
	"logs": "logs", "events": "events", "scheduler": "scheduler",
}

// choose finds the service: by the scope of the signature, else by the host,
// else by the path. It also finds the bucket in the host's name.
func (d *Door) choose(x *exchange) string {
	host := hostname(x.r.Host)
	if x.path == mqttPath && x.r.Method == http.MethodGet {
		return mqttPath
	}
	if scope := scopeOf(x.r, x.query); scope != "" {
		name, ok := scopeServices[scope]
		if !ok {
			// An unknown scope is told in the words of the service that the
			// host or path names.
			return d.byHost(x, host)
		}
		if name == "s3" {
			x.bucket = d.bucketOf(host)
		}
		return name
	}
	return d.byHost(x, host)
}

func (d *Door) byHost(x *exchange, host string) string {
	labels := strings.Split(host, ".")
	for i, l := range labels {
		switch {
		case l == "s3" || strings.HasPrefix(l, "s3-"):
			x.bucket = strings.Join(labels[:i], ".")
			return "s3"
		case i == 1 && l == "credentials" && len(labels) > 2 && labels[2] == "iot":
			return "credentials" // <endpoint>.credentials.iot.<region>...
		case i == 1 && l == "iot":
			return "iotdata" // <endpoint>-ats.iot.<region>..., data.iot...
		case i > 0:
			continue
		case l == "sts" || l == "iam" || l == "lambda" || l == "iot" || l == "logs" || l == "events" || l == "scheduler":
			return l
		}
	}
	return d.byPath(x, host)
}

// certified tells whether the client has shown a certificate and signed nothing.
func (x *exchange) certified() bool {
	return x.r.TLS != nil && len(x.r.TLS.PeerCertificates) > 0
}

func (d *Door) byPath(x *exchange, host string) string {
	if target, _, ok := strings.Cut(x.r.Header.Get("X-Amz-Target"), "."); ok {
		for i := range d.Services {
			if d.Services[i].Target == target {
				return d.Services[i].Name
			}
		}
	}
	switch {
	case x.path == "/" && (x.r.Method == http.MethodPost && strings.HasPrefix(x.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") ||
		x.query.get("Action") != ""):
		return "sts"
	case strings.HasPrefix(x.path, "/role-aliases/") && strings.HasSuffix(x.path, "/credentials"):
		return "credentials"
	case strings.HasPrefix(x.path, "/topics/"), certified(x.r) && (strings.HasPrefix(x.path, "/things/") || strings.HasPrefix(x.path, "/api/things/")):
		return "iotdata"
	case x.certified() && (strings.HasPrefix(x.path, "/connections/") || x.path == "/retainedMessage" || strings.HasPrefix(x.path, "/retainedMessage/")):
		return "iotdata" // S3 knows no certificates
	case strings.HasPrefix(x.path, "/confirmdestination/"):
		return "iot" // nobody signs it: the destination follows the link it was sent
	case strings.HasPrefix(x.path, "/2015-03-31/functions"):
		return "lambda"
	case strings.HasPrefix(x.path, "/_strait/"):
		return "strait"
	}
	x.bucket = d.bucketOf(host)
	return "s3"
}

// bucketOf returns the bucket that stands before one of our names in host.
func (d *Door) bucketOf(host string) string {
	best := ""
	for _, base := range d.Hosts {
		if host == base {
			return ""
		}
		if b, ok := strings.CutSuffix(host, "."+base); ok && (best == "" || len(b) < len(best)) && net.ParseIP(host) == nil {
			best = b
		}
	}
	// The name may be one of a service itself: s3.<region>... under amazonaws.com.
	if best == "s3" || strings.HasPrefix(best, "s3.") {
		return ""
	}
	for _, sep := range []string{".s3.", ".s3-"} {
		if b, _, ok := strings.Cut(best+".", sep); ok {
			return b
		}
	}
	return strings.TrimSuffix(best, ".s3")
}

// certified tells whether r is not signed and came with a certificate: then it
// can only be for the data plane.
func certified(r *http.Request) bool { return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 }

func hostname(hostport string) string {
	h, _, err := net.SplitHostPort(hostport)
	if err != nil {
		h = hostport
	}
	return strings.ToLower(strings.Trim(h, "[]"))
}

// scopeOf returns the service in the scope of the signature that r claims to
// have. It only chooses who reads the claim; nothing is believed here.
func scopeOf(r *http.Request, q values) string {
	cred := q.get("X-Amz-Credential")
	if a := r.Header.Get("Authorization"); a != "" {
		_, rest, ok := strings.Cut(a, "Credential=")
		if !ok {
			return ""
		}
		cred, _, _ = strings.Cut(rest, ",")
	} else if cred == "" && q.get("AWSAccessKeyId") != "" {
		return "s3" // presigned with Signature V2, which only S3 has
	}
	parts := strings.Split(strings.TrimSpace(cred), "/")
	if len(parts) < 5 {
		return ""
	}
	return strings.ToLower(parts[len(parts)-2])
}
