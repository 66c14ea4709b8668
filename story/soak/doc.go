// Package soak runs mixed MQTT traffic against a server process for a while:
// clients come, go, are cut and taken over, and by sequence numbers nothing may
// be lost or doubled beyond what QoS 1 allows, nor may the server's memory grow.
//
// CI runs it for some seconds; ./do soak runs it for half an hour. The seed is
// printed, and STRAIT_SOAK_SEED sets it. Begin with soak_test.go.
package soak
