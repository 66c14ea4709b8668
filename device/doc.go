// Package device is what runs on a device: it keeps one MQTT connection alive,
// publishes and subscribes over it, asks for credentials that are exactly as
// narrow as the upload it is about to do, and sends files with them.
//
// It knows AWS's public protocols only, so it works the same against AWS IoT
// Core and Strait, and it links no server code. It holds no policy and never
// decides what it may do: it asks, and says plainly when it is refused.
//
// Begin with Connect (a certificate) or ConnectSigV4 (credentials), then
// Client.Publish, Client.Subscribe, Client.Credentials and Client.Upload.
// Failures that a person can act on are *strait.Error: Denied was refused,
// Unavailable may work later, Invalid was called wrongly.
package device
