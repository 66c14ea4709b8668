package server

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"

	"strait/identity"
	"strait/identity/ca"
)

// Ready says where a server listens; it is what the ready file holds.
type Ready struct {
	MQTT        []string `json:"mqtt"`
	HTTPS       []string `json:"https"`
	HTTPSCert   []string `json:"httpsCert,omitempty"`
	HTTP        []string `json:"http"`
	Metrics     []string `json:"metrics,omitempty"`
	CA          string   `json:"ca"`          // file with the authority's certificate
	Credentials string   `json:"credentials"` // AWS shared-credentials file of the user admin
	Data        string   `json:"data"`
	Region      string   `json:"region"`
	Account     string   `json:"account"`
	PID         int      `json:"pid"`
}

func addresses(ls []net.Listener) []string {
	out := []string{}
	for _, l := range ls {
		a := l.Addr().(*net.TCPAddr)
		host := a.IP.String()
		if a.IP.IsUnspecified() {
			host = "127.0.0.1" // a name that a client can connect to
		}
		out = append(out, net.JoinHostPort(host, itoa(a.Port)))
	}
	return out
}

// announce fills in what is ready, and writes the ready files, each whole.
func (s *Server) announce(context.Context) error {
	s.ready = Ready{
		MQTT: addresses(s.listeners.mqtt), HTTPS: addresses(s.listeners.https), HTTPSCert: addresses(s.listeners.certs), HTTP: addresses(s.listeners.http), Metrics: addresses(s.listeners.metrics),
		CA: s.authority.File(), Credentials: s.credentialsFile(), Data: s.cfg.Data,
		Region: s.cfg.Place.Region, Account: s.cfg.Place.Account, PID: os.Getpid(),
	}
	b, err := json.Marshal(s.ready)
	if err != nil {
		return err
	}
	for _, name := range s.readyFiles() {
		if err := ca.WriteFile(name, append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// readyFiles are DIR/ready.json, where commands look by themselves, and the one
// that was asked for.
func (s *Server) readyFiles() []string {
	names := []string{filepath.Join(s.cfg.Data, "ready.json")}
	if s.cfg.ReadyFile != "" {
		names = append(names, s.cfg.ReadyFile)
	}
	return names
}

func (s *Server) credentialsFile() string { return filepath.Join(s.cfg.Data, "credentials") }

// adminPolicy is what the first user has.
const adminPolicy = "arn:aws:iam::aws:policy/AdministratorAccess"

// firstUser makes the IAM user admin and its key on first start, and writes
// the credentials file. (A root user could not assume roles.) A key that was
// made but not written, because the server died in between, is replaced.
func (s *Server) firstUser(ctx context.Context) error {
	if b, err := os.ReadFile(s.credentialsFile()); err == nil && len(b) > 0 {
		return nil
	}
	if users := s.directory.Users(); len(users) > 1 || len(users) == 1 && users[0].Name != "admin" {
		return nil // whoever removed the file has keys of other users
	}
	if _, err := s.directory.User("admin"); err != nil {
		if _, err := s.directory.CreateUser(ctx, identity.User{Name: "admin"}); err != nil {
			return err
		}
	}
	err := s.directory.ChangeUser(ctx, "admin", func(u *identity.User) (err error) {
		if len(u.Attached) == 0 {
			u.Attached, err = s.directory.Attach(u.Attached, adminPolicy, "User")
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range s.directory.AccessKeys("admin") {
		if err := s.directory.DeleteAccessKey(ctx, "admin", k.ID); err != nil {
			return err
		}
	}
	k, err := s.directory.CreateAccessKey(ctx, "admin")
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("[default]\naws_access_key_id = " + k.ID + "\naws_secret_access_key = " + k.Secret + "\n")
	return ca.WriteFile(s.credentialsFile(), []byte(b.String()))
}
