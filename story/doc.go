// Package story tells end-to-end stories: real programs that nobody here wrote
// (the AWS CLI, boto3, awscrt, mosquitto's clients, AWS's device SDK for Node)
// and our own binaries talk to a whole server over TLS. It holds tests only.
//
// Begin with scripts/: a file a story, with its cast in a comment and a comment
// before each act. story_test.go starts the server, clients_test.go finds the
// programs, commands_test.go has the words that scripts use beyond
// testscript's own. A story waits for events and never sleeps.
package story
