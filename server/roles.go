package server

import (
	"time"

	"strait"
	"strait/api"
	"strait/authz"
	"strait/credential"
)

// take lets a service take role for source (a rule, a schedule, a template, a
// function), if the role's trust policy lets it: the one place where a service
// gets to act as a role. The session lives for as long as life, its name is cut
// to what AssumeRole takes, and no token of it exists yet.
func (s *Server) take(service string, source, role strait.ARN, name, trace string, life time.Duration) (credential.Session, error) {
	known := s.directory.RoleByARN(role)
	if known == nil {
		return credential.Session{}, strait.Errorf(strait.NotFound, "role", "the role %s does not exist", role)
	}
	c := s.directory.Service(service, source, trace)
	if _, err := s.authorizer.Ask(&c, "AssumeRole", authz.Ask{Action: "sts:AssumeRole", Resource: role}); err != nil {
		return credential.Session{}, err
	}
	now := s.cfg.Now()
	return credential.Session{
		Kind: strait.AssumedRole, RoleID: known.ID, RoleARN: role, Name: name[:min(64, len(name))], Trace: trace, Issued: now, Expires: now.Add(life),
	}, nil
}

// as takes role and is its session. No token is made: it never leaves here.
func (s *Server) as(service string, source, role strait.ARN, name, trace string, life time.Duration) (api.Caller, error) {
	session, err := s.take(service, source, role, name, trace, life)
	if err != nil {
		return api.Caller{}, err
	}
	return api.Caller{Principal: s.directory.ForSession(&session), Session: &session, Trace: trace, Secure: true}, nil
}
