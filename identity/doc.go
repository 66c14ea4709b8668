// Package identity knows who exists and proves who is calling.
//
// It holds the users, roles, access keys, things and certificates of one
// account, and every policy document of every kind, keyed by what it is
// attached to. A Directory is the one place where they live; a Caller is a
// principal that has been proven, with what is known about the request. From
// the two, Policies and Context give the policy package all that it needs.
//
// It decides nothing (package authz does) and speaks no protocol. Begin with
// Directory in directory.go and Caller in caller.go.
package identity
