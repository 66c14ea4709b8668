package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	paho "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sync/errgroup"

	"strait/bench/house"
	"strait/setup"
)

const (
	patience = 30 * time.Second
	window   = 64 // messages under way
	payload  = `{"clientToken":"0123456789abcdef","purpose":"upload","value":21.5,"list":[1,2,3]}`
)

// A way is a server with some rules and a device that publishes to it.
type way struct {
	rules   int
	house   *house.House
	device  paho.Client
	results map[string]*result
}

// A result is what the rounds of one kind of message took.
type result struct {
	rates  []float64 // messages a second
	cpu    time.Duration
	n      int
	ratios []float64 // to the server without rules, in the same round
}

// Kinds of messages.
const (
	hit  = "one rule matches"
	miss = "no rule matches"
)

func messagesThroughRules(ctx context.Context, binary, dir string, rounds, messages, most int) error {
	var ways []*way
	for _, n := range []int{0, 1, 100, most} {
		h, err := house.Start(ctx, binary, fmt.Sprintf("%s-%d", dir, n))
		if err != nil {
			return err
		}
		defer h.Stop()
		w := &way{rules: n, house: h, results: map[string]*result{hit: {}, miss: {}}}
		ways = append(ways, w)
		began := time.Now()
		if err := w.prepare(ctx); err != nil {
			return err
		}
		fmt.Printf("%d rules were made in %.1f s\n", n, time.Since(began).Seconds())
	}
	for round := range rounds + 1 {
		order := slices.Clone(ways)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for kind, topic := range map[string]string{hit: "hit/device00", miss: "miss/device00"} {
			rates := map[int]float64{}
			for _, w := range order {
				rate, cpu, err := w.publish(ctx, topic, messages)
				if err != nil {
					return fmt.Errorf("%d rules: %w", w.rules, err)
				}
				rates[w.rules] = rate
				if r := w.results[kind]; round > 0 { // the first round warms up
					r.rates, r.cpu, r.n = append(r.rates, rate), r.cpu+cpu, r.n+messages
				}
			}
			for _, w := range ways {
				if round > 0 {
					r := w.results[kind]
					r.ratios = append(r.ratios, rates[w.rules]/rates[0])
				}
			}
		}
	}
	fmt.Println()
	heading("%-8s %-18s %12s %18s   %s", "rules", "", "messages/s", "server CPU us/msg", "throughput to no rules, median (lowest to highest round)")
	for _, kind := range []string{miss, hit} {
		for _, w := range ways {
			r := w.results[kind]
			name := kind
			if w.rules == 0 {
				name = "no rules"
			}
			fmt.Printf("%-8d %-18s %12.0f %18.1f   %s\n", w.rules, name, house.Median(r.rates), float64(r.cpu.Microseconds())/float64(r.n), spread(r.ratios))
		}
	}
	fmt.Println()
	return nil
}

func done(t paho.Token) error {
	if !t.WaitTimeout(patience) {
		return errors.New("the server did not answer in time")
	}
	return t.Error()
}

// publish sends n messages and returns how many were acknowledged a second, and
// what they cost the server.
func (w *way) publish(ctx context.Context, topic string, n int) (rate float64, cpu time.Duration, err error) {
	before, _, err := w.house.CPU()
	if err != nil {
		return 0, 0, err
	}
	tokens := make(chan paho.Token, window)
	failed := make(chan error, 1)
	began := time.Now()
	go func() {
		for t := range tokens {
			if err := done(t); err != nil {
				failed <- err
				for range tokens {
				}
				return
			}
		}
		failed <- nil
	}()
	for range n {
		if ctx.Err() != nil {
			break
		}
		tokens <- w.device.Publish(topic, 1, false, payload)
	}
	close(tokens)
	if err := errors.Join(<-failed, ctx.Err()); err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	after, _, err := w.house.CPU()
	return float64(n) / took.Seconds(), after - before, err
}

// prepare makes a device, and w.rules rules, of which one matches "hit/...".
func (w *way) prepare(ctx context.Context) error {
	s, err := w.house.Session(ctx)
	if err != nil {
		return err
	}
	if err := w.connect(ctx, s); err != nil {
		return err
	}
	role, err := s.IAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("speak"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		return err
	}
	if _, err := s.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("speak"), PolicyName: aws.String("speak"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}]}`)}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range w.rules {
		filter := fmt.Sprintf("site%d/+/token/req", i)
		if i == 0 {
			filter = "hit/+"
		}
		g.Go(func() error {
			_, err := s.IoT.CreateTopicRule(ctx, &iot.CreateTopicRuleInput{RuleName: aws.String(fmt.Sprintf("rule_%d", i)), TopicRulePayload: &types.TopicRulePayload{
				AwsIotSqlVersion: aws.String("2016-03-23"), Sql: aws.String("SELECT topic(2) AS name, clientToken, purpose, duration FROM '" + filter + "'"),
				Actions: []types.Action{{Republish: &types.RepublishAction{RoleArn: role.Role.Arn, Topic: aws.String("nobody/${topic(2)}")}}},
			}})
			return err
		})
	}
	return g.Wait()
}

func (w *way) connect(ctx context.Context, s *setup.Session) error {
	files, err := setup.Thing(ctx, s, "device00", w.house.Data+".device")
	if err != nil {
		return err
	}
	if _, err := s.IoT.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String("bench"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":["arn:aws:iot:*:*:topic/hit/*","arn:aws:iot:*:*:topic/miss/*"]}]}`)}); err != nil {
		return err
	}
	certs, err := s.IoT.ListCertificates(ctx, &iot.ListCertificatesInput{})
	if err != nil {
		return err
	}
	if _, err := s.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String("bench"), Target: certs.Certificates[0].CertificateArn}); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(w.house.CA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	o := paho.NewClientOptions().AddBroker("tls://" + w.house.MQTT[0]).SetClientID("device00").SetAutoReconnect(false)
	o.SetTLSConfig(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost"})
	w.device = paho.NewClient(o)
	return done(w.device.Connect())
}
