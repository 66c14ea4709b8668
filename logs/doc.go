// Package logs keeps log groups: named piles of lines, each line in a stream.
// Functions write to them, and actions of topic rules, and whoever may.
//
// A group is a fact in the store and two files in a directory of its own, the
// newer and the older one. When the newer is full it becomes the older, whose
// lines are gone: so a group never takes more than twice MaxFile, however much
// is written. Lines older than the group's retention are not told any more.
// A stream is there as long as one of its lines, or its making, is.
//
// Nothing is kept in memory but what streams there are; reading reads the
// files. Begin at Engine.
//
// It refuses to know who may read or write (authz decides before it is
// reached) and how a request looks on AWS's wire.
package logs
