package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"strait/api"
	"strait/authz"
	"strait/broker"
	"strait/credential"
	"strait/door/http"
	"strait/door/mqtt"
	"strait/function"
	"strait/identity"
	"strait/identity/ca"
	"strait/identity/sigv4"
	"strait/logs"
	"strait/object"
	"strait/object/lifecycle"
	"strait/object/notify"
	"strait/rule"
	"strait/schedule"
	"strait/shadow"
	"strait/state/local"
)

// A Server is a running house.
type Server struct {
	cfg Config

	store      *local.Store
	issuer     *credential.Issuer
	keys       sigv4.KeyRing
	authority  *ca.Authority
	directory  *identity.Directory
	authorizer *authz.Authorizer
	objects    object.Store
	rules      *rule.Engine
	broker     *broker.Broker
	shadows    *shadow.Engine
	schedules  *schedule.Engine
	functions  *function.Engine
	logGroups  *logs.Engine
	corridor   *api.Corridor
	mqtt       *api.MQTT
	lambda     api.Service
	sts        api.Service
	iotdata    api.Service
	iot        api.Service
	s3         api.Service
	logs       api.Service
	notify     *notify.Engine
	sweeper    *lifecycle.Sweeper

	started     time.Time
	meters      *meters // nil: nothing is measured
	openObjects func() (object.Store, error)
	listeners   listeners
	ready       Ready

	ctx     context.Context
	cancel  context.CancelFunc
	talking context.Context // of MQTT on the HTTPS port
	hush    context.CancelFunc
	work    sync.WaitGroup
	web     []*nethttp.Server
	undo    []func() error // what Close does, last first
}

// Start opens everything that cfg names and returns when every listener
// answers. On failure nothing is left open.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, started: cfg.Now()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.talking, s.hush = context.WithCancel(s.ctx)
	for _, step := range []func(context.Context) error{s.openFacts, s.openListeners, s.openEngines, s.layCorridor, s.serve, s.announce} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// later remembers what Close must do.
func (s *Server) later(fn func() error) { s.undo = append(s.undo, fn) }

// openFacts opens the data directory: the store, keys, certificates and who
// exists.
func (s *Server) openFacts(ctx context.Context) (err error) {
	if err := makeDir(s.cfg.Data); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if s.cfg.Data, err = filepath.Abs(s.cfg.Data); err != nil {
		return err
	}
	if s.store, err = local.Open(filepath.Join(s.cfg.Data, "state"), local.Options{}); err != nil {
		return err
	}
	s.later(s.store.Close)
	// Objects are looked through while the directory is read: each takes its
	// time with many of them.
	open := sync.OnceValues(s.openStore)
	s.openObjects = open
	s.later(func() error {
		if o, err := open(); err == nil {
			return o.Close()
		}
		return nil // whoever opens tells why not
	})
	go open()
	if s.issuer, err = credential.Open(s.cfg.Data, s.cfg.Now); err != nil {
		return err
	}
	if s.authority, err = ca.Open(s.cfg.Data, s.cfg.Now); err != nil {
		return err
	}
	if s.directory, err = identity.Open(ctx, s.store, s.cfg.Place, s.cfg.Now); err != nil {
		return err
	}
	return s.firstUser(ctx)
}

// makeDir makes a directory, and those above it, and makes their names safe
// from power loss: all that is synced inside is lost with the name of the
// directory itself. An existing one is synced, too, for the last start may have
// been cut off before it came to that.
func makeDir(name string) error {
	parent := filepath.Dir(name)
	if _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	d, err := os.Open(parent)
	if errors.Is(err, os.ErrPermission) {
		return nil // not ours to read, so not ours to have made name in
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openEngines opens the engines, from those that need nobody upwards.
func (s *Server) openEngines(ctx context.Context) (err error) {
	s.authorizer = &authz.Authorizer{Directory: s.directory, Recorder: authz.NewRecorder(s.cfg.Now), Now: s.cfg.Now}
	decisions, err := authz.OpenLog(filepath.Join(s.cfg.Data, "decisions"), s.authorizer.Recorder, s.directory, authz.LogLimits{}, s.cfg.Log)
	if err != nil {
		return err
	}
	s.authorizer.Log = decisions
	s.later(decisions.Close)
	s.work.Go(func() { decisions.Run(s.ctx) })
	s.corridor = &api.Corridor{Directory: s.directory, Authorizer: s.authorizer, Log: s.cfg.Log}
	s.mqtt = &api.MQTT{Directory: s.directory, Authorizer: s.authorizer, Now: s.cfg.Now, Log: s.cfg.Log}

	if s.objects, err = s.openObjects(); err != nil {
		return err
	}
	maxRules := 0
	if s.cfg.Limits == "aws" {
		maxRules = 1000
	}
	if s.rules, err = rule.Open(ctx, rule.Config{MaxRules: maxRules, Store: s.store, Invoker: s, Actor: ruleHands{s}, Asker: ruleHands{s}, Poster: ruleHands{s}, Now: s.cfg.Now, Log: s.cfg.Log, Events: s.ruleEvent, Place: s.cfg.Place}); err != nil {
		return err
	}
	s.later(s.rules.Close)
	var limits broker.Limits
	if s.mqtt.Quotas = s.cfg.Limits == "aws"; s.mqtt.Quotas {
		limits.ReplayRate, limits.SharedReplayRate, limits.ReplayAll = 10, 20, 500
	}
	if s.broker, err = broker.Open(ctx, broker.Config{Store: s.store, Now: s.cfg.Now, Log: s.cfg.Log, Matched: s.matched, Limits: limits, Stored: s.meters.storing()}); err != nil {
		return err
	}
	s.later(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		return s.broker.Close(ctx)
	})
	if s.shadows, err = shadow.Open(shadow.Config{Store: s.store, Now: s.cfg.Now, Log: s.cfg.Log}); err != nil {
		return err
	}
	s.later(s.shadows.Close)
	if s.meters != nil {
		s.mqtt.Meters = &s.meters.mqtt
	}
	s.mqtt.Broker, s.mqtt.Rules, s.mqtt.Shadows = s.broker, s.rules, s.shadows
	if s.logGroups, err = logs.Open(ctx, logs.Config{Store: s.store, Dir: filepath.Join(s.cfg.Data, "logs"), Now: s.cfg.Now, Log: s.cfg.Log}); err != nil {
		return err
	}
	s.later(s.logGroups.Close)
	if s.functions, err = function.Open(ctx, function.Config{
		Store: s.store, Dir: filepath.Join(s.cfg.Data, "functions"), Now: s.cfg.Now, Log: s.cfg.Log, Credentials: s,
		Logs: &functionLogs{s: s, traces: map[string]string{}}, Sender: functionSender{s}, Natives: s.natives(), Environment: s.environment, Trust: s.cfg.TrustFunctions, Place: s.cfg.Place, Events: s.functionEvent,
	}); err != nil {
		return err
	}
	s.later(s.functions.Close)
	s.cfg.Log.Info("functions", "memory", s.functions.Memory())
	if s.schedules, err = schedule.Open(ctx, schedule.Config{Store: s.store, Invoker: scheduleHands{s}, Now: s.cfg.Now, Log: s.cfg.Log, Events: s.scheduleEvent}); err != nil {
		return err
	}
	s.later(s.schedules.Close)
	s.directory.OnChange(s.mqtt.Recheck)
	return nil
}

// layCorridor makes the tables; what engines had left over starts now.
func (s *Server) layCorridor(context.Context) error {
	s.sts = api.STS(s.directory, s.issuer, s.cfg.Now)
	s.lambda = api.Lambda(s.directory, s.functions, s.objects, s.cfg.Now)
	s.iotdata = api.IoTData(s.mqtt)
	s.layObjects()
	p := &api.Provisioner{Corridor: s.corridor, IoT: &s.iot, Directory: s.directory, Authority: s.authority, Take: s.takeForProvisioning, Invoke: s.invokeHook}
	s.iot = api.IoT(s.directory, s.authority, s.rules, s.authorizer, p, s.cfg.endpoint)
	s.mqtt.Provisioner = p
	s.logs = api.Logs(s.directory, s.logGroups)
	s.authorizer.EngineTags = s.engineTags
	s.functions.Resume()
	s.rules.Resume()
	s.schedules.Start()
	s.notify.Run()
	return nil
}

func (s *Server) services() []api.Service {
	return []api.Service{
		s.sts, s.lambda, s.iotdata, s.iot, s.s3, s.logs,
		api.IAM(s.directory),
		api.Scheduler(s.directory, s.schedules),
		api.Events(s.directory, s.schedules),
		api.Strait(s.directory, s.authorizer),
		api.Provider(s.directory, s.authorizer, s.issuer, s.cfg.Now),
	}
}

// serve opens the doors.
func (s *Server) serve(ctx context.Context) error {
	cert, err := s.authority.Server(s.cfg.certificateNames())
	if err != nil {
		return err
	}
	messages := &mqtt.Server{Connector: connector{s.mqtt}, Log: s.cfg.Log, HideReasons: s.cfg.HideReasons}
	if s.cfg.Limits == "aws" {
		messages.Limits = messages.Limits.AWS()
	}
	web, err := http.New(http.Door{
		Corridor: s.corridor, Services: s.services(), Identify: s.identify, Certified: s.mqtt.Certified, Hosts: s.cfg.names(), Region: s.cfg.Place.Region, Log: s.cfg.Log,
		Observe:   s.meters.observing(),
		WebSocket: func(w nethttp.ResponseWriter, r *nethttp.Request, c api.Caller) { messages.Upgrade(w, r, c) },
	})
	if err != nil {
		return err
	}
	for _, l := range s.listeners.mqtt {
		s.work.Go(func() { s.report(messages.Serve(s.ctx, tls.NewListener(mqtt.Listener(l), deviceTLS(cert)))) })
	}
	for _, l := range s.listeners.https {
		s.serveWeb(tls.NewListener(mqtt.Listener(l), webTLS(cert)), web, messages)
	}
	for _, l := range s.listeners.certs {
		s.serveWeb(tls.NewListener(l, askingTLS(cert)), web, messages)
	}
	for _, l := range s.listeners.http {
		s.serveWeb(corking(l), web, messages)
	}
	s.serveMetrics(messages)
	s.work.Go(func() { s.report(s.broker.Run(s.ctx)) })
	s.work.Go(s.housekeep)
	s.work.Go(func() { tidy(s.ctx) })
	return nil
}

func (s *Server) serveWeb(l net.Listener, handler nethttp.Handler, messages *mqtt.Server) {
	talk := func(_ *nethttp.Server, c *tls.Conn, _ nethttp.Handler) { messages.ServeConn(s.talking, c) }
	second := newHanded(l.Addr())
	// The second one first: it is closed first, too, and the other one waits for it.
	s.run(second, restore(handler), nil)
	s.run(l, handler, map[string]func(*nethttp.Server, *tls.Conn, nethttp.Handler){alpnMQTT: talk, alpnCustom: talk, alpnHTTP: second.give})
}

func (s *Server) run(l net.Listener, handler nethttp.Handler, protocols map[string]func(*nethttp.Server, *tls.Conn, nethttp.Handler)) {
	web := &nethttp.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ConnContext: remember,
		ErrorLog:    quiet(s.cfg.Log), TLSNextProto: protocols,
	}
	s.web = append(s.web, web)
	s.work.Go(func() {
		if err := web.Serve(l); !errors.Is(err, nethttp.ErrServerClosed) {
			s.report(err)
		}
	})
}

func (s *Server) report(err error) {
	if err != nil && s.ctx.Err() == nil {
		s.cfg.Log.Error("a part of the server stopped", "error", err)
	}
}

// housekeep, at the start and every hour, aborts uploads that nobody finished
// for a week, carries out the lifecycle rules of buckets, and lets shadows
// forget what was deleted.
func (s *Server) housekeep() {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		_, err := s.objects.AbortOlder(s.ctx, s.cfg.Now().Add(-7*24*time.Hour))
		_, err2 := s.sweeper.Sweep(s.ctx)
		if err := errors.Join(err, err2, s.shadows.Sweep(s.ctx)); err != nil && s.ctx.Err() == nil {
			s.cfg.Log.Error("what is old was not all removed", "error", err)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
	}
}

// closeTime is what requests under way have to finish.
const closeTime = 5 * time.Second

// Close stops the doors, lets what is under way finish for some seconds, and
// closes the engines and the store.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var errs []error
	if s.authorizer != nil {
		s.authorizer.Recorder.End()
	}
	s.hush() // net/http would wait for these
	for _, w := range s.web {
		if err := w.Shutdown(ctx); err != nil {
			errs = append(errs, w.Close())
		}
	}
	s.cancel()
	s.work.Wait()
	for i := len(s.undo) - 1; i >= 0; i-- {
		errs = append(errs, s.undo[i]())
	}
	s.undo = nil
	if s.ready.PID != 0 {
		for _, name := range s.readyFiles() {
			os.Remove(name)
		}
	}
	return errors.Join(errs...)
}

// Ready tells where the server listens.
func (s *Server) Ready() Ready { return s.ready }

// Recorder holds the decisions taken.
func (s *Server) Recorder() *authz.Recorder { return s.authorizer.Recorder }
