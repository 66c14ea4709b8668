package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strait/setup"
)

// envCommand prints what a shell needs to reach a running server.
type envCommand struct {
	Data      string `help:"Data directory of the server." type:"path" xor:"where" required:""`
	ReadyFile string `help:"Ready file of the server." type:"path" xor:"where" required:""`
}

// readyFile is what the server says about itself.
type readyFile struct {
	MQTT        []string `json:"mqtt"`
	HTTPS       []string `json:"https"`
	HTTP        []string `json:"http"`
	CA          string   `json:"ca"`
	Credentials string   `json:"credentials"`
	Region      string   `json:"region"`
	PID         int      `json:"pid"`
}

// Run is called by kong.
func (c *envCommand) Run(ctx context.Context) error {
	name := c.ReadyFile
	if name == "" {
		name = filepath.Join(c.Data, "ready.json")
	}
	vars, err := environment(ctx, name)
	if err != nil {
		return err
	}
	for _, v := range vars {
		fmt.Printf("export %s=%s\n", v[0], setup.Quote(v[1]))
	}
	return nil
}

// environment reads the ready file called name and returns the variables for
// the server that wrote it, which must still answer.
func environment(ctx context.Context, name string) ([][2]string, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no server is running there (%s is missing): start one with strait serve --data DIR", name)
	}
	if err != nil {
		return nil, err
	}
	var r readyFile
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s is no ready file: %w", name, err)
	}
	url, addr := "", ""
	switch {
	case len(r.HTTPS) > 0:
		url, addr = "https://"+r.HTTPS[0], r.HTTPS[0]
	case len(r.HTTP) > 0:
		url, addr = "http://"+r.HTTP[0], r.HTTP[0]
	default:
		return nil, errors.New("the server has neither an HTTPS nor an HTTP address: start it with --https or --http")
	}
	dialer := net.Dialer{Timeout: 3 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the server that wrote %s (process %d) does not answer: start it again with strait serve", name, r.PID)
	}
	conn.Close()
	id, secret, err := readCredentials(r.Credentials)
	if err != nil {
		return nil, err
	}
	vars := [][2]string{
		{"AWS_ENDPOINT_URL", url}, {"AWS_ACCESS_KEY_ID", id}, {"AWS_SECRET_ACCESS_KEY", secret},
		// One that is left over from elsewhere would be sent along, and refused.
		{"AWS_SESSION_TOKEN", ""},
		{"AWS_REGION", r.Region}, {"AWS_DEFAULT_REGION", r.Region}, {"AWS_CA_BUNDLE", r.CA},
	}
	if len(r.MQTT) > 0 {
		vars = append(vars, [2]string{"STRAIT_MQTT_ENDPOINT", r.MQTT[0]})
	}
	if len(r.HTTPS) > 0 {
		vars = append(vars, [2]string{"STRAIT_WSS_ENDPOINT", r.HTTPS[0]})
	}
	return vars, nil
}

// readCredentials reads the default profile of an AWS shared-credentials file.
func readCredentials(name string) (id, secret string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", "", fmt.Errorf("read the administrator's credentials: %w", err)
	}
	defer f.Close()
	profile := ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			profile = strings.Trim(line, "[] ")
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		switch {
		case profile != "default":
		case strings.TrimSpace(key) == "aws_access_key_id":
			id = strings.TrimSpace(value)
		case strings.TrimSpace(key) == "aws_secret_access_key":
			secret = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return "", "", fmt.Errorf("read the administrator's credentials: %w", err)
	}
	if id == "" || secret == "" {
		return "", "", fmt.Errorf("%s has no key in its default profile", name)
	}
	return id, secret, nil
}
