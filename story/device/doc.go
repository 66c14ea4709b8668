// Package device tells what becomes of a device's uploads when everything fails
// that can: the network, the server, the clock, and the agent itself.
//
// The server is the real one. Between it and the device stands a proxy of our
// own (proxy_test.go) that delays, loses, cuts, damages and refuses. Begin with
// faults_test.go, then kill_test.go, which kills the built agent.
package device
