package story_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// wrappers are the programs as scripts call them. Python and the AWS CLI are
// Debian's, whose versions the stories are about; other ones may be before
// them on PATH.
var wrappers = map[string]string{
	// Version 2.9 does not know AWS_ENDPOINT_URL.
	"aws":    `exec /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"`,
	"python": `exec /usr/bin/python3 "$@"`,
	// record FILE PROGRAM ARGUMENT... lets a story read what a program prints
	// while it runs.
	"record": `file=$1; shift; exec stdbuf -oL -eL "$@" >"$file" 2>&1`,
}

func writeWrappers(dir string) error {
	for name, line := range wrappers {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+line+"\n"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// probes print the version of a client, or fail.
var probes = map[string][]string{
	"aws":           {"/usr/bin/aws", "--version"},
	"boto3":         {"/usr/bin/python3", "-c", "import boto3; print('boto3', boto3.__version__)"},
	"awscrt":        {"/usr/bin/python3", "-c", "import awscrt, importlib.metadata as m; print('awscrt', m.version('awscrt'))"},
	"mosquitto":     {"sh", "-c", "command -v mosquitto_pub stdbuf >/dev/null && mosquitto_sub --help | grep version"},
	"mqtt-js":       {"sh", "-c", `cd node && node -e "console.log('MQTT.js', require('./node_modules/mqtt/package.json').version)"`},
	"node-iot":      {"sh", "-c", `cd node && node -e "require('aws-iot-device-sdk-v2'); console.log('aws-iot-device-sdk-v2', require('./node_modules/aws-iot-device-sdk-v2/package.json').version, 'on node', process.version)"`},
	"curl":          {"curl", "--version"},
	"node-function": {"sh", "-c", `cd function/node && node -e "console.log('AWS SDK for JavaScript', require('./node_modules/@aws-sdk/client-sts/package.json').version, 'on node', process.version)"`},
	"namespace":     {"sh", "-c", "unshare -mn true && ip -V && unshare --version"},
}

// ours are the binaries of this repository, built when a story first asks.
var ours = map[string]string{"strait": "../cmd/strait", "strait-agent": "../cmd/strait-agent", "strait-vend": "../cmd/strait-vend"}

// clients knows which programs are here. Each is looked for once.
type clients struct {
	t    *testing.T
	bin  string
	mu   sync.Mutex
	have map[string]bool
}

// condition answers [client:NAME]. A missing client is said loudly, and is a
// failure where CI is true: there the stories are a promise.
func (c *clients) condition(cond string) (bool, error) {
	name, ok := strings.CutPrefix(cond, "client:")
	if !ok {
		return false, fmt.Errorf("no condition is called %q", cond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.have[name]; ok {
		return have, nil
	}
	if c.have == nil {
		c.have = map[string]bool{}
	}
	if path, ok := ours[name]; ok {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(c.bin, name), path)
		if out, err := cmd.CombinedOutput(); err != nil {
			return false, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		c.have[name] = true
		return true, nil
	}
	probe := probes[name]
	if probe == nil {
		return false, fmt.Errorf("no client is called %q", name)
	}
	out, err := exec.Command(probe[0], probe[1:]...).CombinedOutput()
	version := strings.Join(strings.Fields(string(out)), " ")
	if err == nil {
		c.t.Logf("client %s: %s", name, version)
		c.have[name] = true
		return true, nil
	}
	if os.Getenv("CI") == "true" {
		return false, fmt.Errorf("the client %s is missing: %w: %s", name, err, version)
	}
	fmt.Fprintf(os.Stderr, "\nLEFT OUT: stories with %s, which is not here (%v: %s)\n\n", name, err, version)
	c.have[name] = false
	return false, nil
}
