package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"strait/bench/house"
	"strait/rule"
	"strait/setup"
)

// costOfSQL prints what the statement of the upload pattern costs by itself.
func costOfSQL() {
	const sql = "SELECT topic(1) AS name, clientToken, purpose, duration FROM '+/token/req'"
	stmt, err := rule.Parse(sql, "2016-03-23")
	if err != nil {
		panic(err) // the statement is ours
	}
	now := time.Now()
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			in := &rule.Input{Topic: "device00/token/req", Payload: []byte(payload), ClientID: "device00", Time: now}
			if _, ok, err := stmt.Eval(in); !ok || err != nil {
				b.Fatal("the statement did not match")
			}
		}
	})
	parse := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, err := rule.Parse(sql, "2016-03-23"); err != nil {
				b.Fatal(err)
			}
		}
	})
	fmt.Printf("SQL of the upload pattern: %d ns and %d allocations for a message of %d bytes (reading the statement, once a rule: %d ns)\n\n", r.NsPerOp(), r.AllocsPerOp(), len(payload), parse.NsPerOp())
}

// A language is a function that returns its event.
type language struct {
	name, runtime, handler string
	zip                    []byte
	cold, warm             []time.Duration
	coldRatios, warmRatios []float64
}

const (
	python = "def handler(event, context):\n    return event\n"
	node   = "exports.handler = async (event) => event;\n"
	warmup = 5
	many   = 50 // warm invocations of a round
)

func languages(ctx context.Context, dir string) ([]*language, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "strait").Output()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	bootstrap := filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", bootstrap, "./function/testdata/probe")
	build.Dir, build.Env = strings.TrimSpace(string(root)), append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the Go function: %w\n%s", err, said)
	}
	program, err := os.ReadFile(bootstrap)
	if err != nil {
		return nil, err
	}
	all := []*language{{name: "Go", runtime: "provided.al2023", handler: "bootstrap", zip: zipOf("bootstrap", program)}}
	for _, l := range []struct{ name, command, runtime, file, code string }{
		{"Python", "python3", "python3.11", "index.py", python}, {"Node", "node", "nodejs22.x", "index.js", node},
	} {
		if _, err := exec.LookPath(l.command); err != nil {
			fmt.Printf("LEFT OUT: %s is not here\n", l.command)
			continue
		}
		all = append(all, &language{name: l.name, runtime: l.runtime, handler: "index.handler", zip: zipOf(l.file, []byte(l.code))})
	}
	return all, nil
}

func zipOf(name string, body []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(body)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err) // to memory
	}
	return b.Bytes()
}

// invocations measures functions, cold and warm, beside a bare HTTP round trip.
func invocations(ctx context.Context, binary, dir string, rounds int) error {
	all, err := languages(ctx, dir+".go")
	if err != nil {
		return err
	}
	h, err := house.Start(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer h.Stop()
	s, err := h.Session(ctx)
	if err != nil {
		return err
	}
	if err := deploy(ctx, s, all); err != nil {
		return err
	}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	}))
	defer echo.Close()
	const event = `{"Do":"echo","Args":["upload"]}`
	bare := func() error {
		resp, err := http.Post(echo.URL, "application/json", strings.NewReader(event))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	invoke := func(l *language) func() error {
		return func() error {
			out, err := s.Lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &l.name, Payload: []byte(event)})
			if err == nil && out.FunctionError != nil {
				err = fmt.Errorf("%s: %s", l.name, out.Payload)
			}
			return err
		}
	}
	var bareTimes []time.Duration
	for round := range rounds {
		b, err := measure(many, bare)
		if err != nil {
			return err
		}
		base := house.Quantile(b, 0.5)
		bareTimes = append(bareTimes, b...)
		for i := range all {
			l := all[(i+round)%len(all)]
			// A change of its variables ends its processes.
			if _, err := s.Lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &l.name, Environment: &types.Environment{Variables: map[string]string{"ROUND": fmt.Sprint(round)}}}); err != nil {
				return err
			}
			cold, err := measure(1, invoke(l))
			if err == nil {
				_, err = measure(warmup, invoke(l))
			}
			if err != nil {
				return err
			}
			warm, err := measure(many, invoke(l))
			if err != nil {
				return err
			}
			l.cold, l.warm = append(l.cold, cold...), append(l.warm, warm...)
			l.coldRatios = append(l.coldRatios, float64(cold[0])/float64(base))
			l.warmRatios = append(l.warmRatios, float64(house.Quantile(warm, 0.5))/float64(base))
		}
	}
	heading("%-24s %10s %10s   %s", "invocation", "p50 ms", "p99 ms", "to a bare HTTP round trip, median (lowest to highest round)")
	row := func(name string, t []time.Duration, ratio string) {
		fmt.Printf("%-24s %10.3f %10.3f   %s\n", name, float64(house.Quantile(t, 0.5))/1e6, float64(house.Quantile(t, 0.99))/1e6, ratio)
	}
	row("bare HTTP round trip", bareTimes, "")
	for _, l := range all {
		row(l.name+", warm", l.warm, spread(l.warmRatios))
		row(l.name+", cold", l.cold, spread(l.coldRatios))
	}
	return nil
}

func measure(n int, do func() error) ([]time.Duration, error) {
	var took []time.Duration
	for range n {
		began := time.Now()
		if err := do(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

func deploy(ctx context.Context, s *setup.Session, all []*language) error {
	role, err := s.IAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("run"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		return err
	}
	if _, err := s.IAM.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("run"), PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")}); err != nil {
		return err
	}
	for _, l := range all {
		if _, err := s.Lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &l.name, Role: role.Role.Arn, Runtime: types.Runtime(l.runtime), Handler: &l.handler,
			Timeout: aws.Int32(20), Code: &types.FunctionCode{ZipFile: l.zip}}); err != nil {
			return err
		}
	}
	return nil
}
