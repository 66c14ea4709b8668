// Package shadow keeps the shadows of devices: for each a document of what is
// wanted (desired) and what is (reported), which both sides change piece by
// piece, with the time of each change and a version.
//
// An Engine answers Requests: get, update, delete. Requests for one shadow are
// answered one after the other, in the order in which they were asked; those
// for different shadows at the same time. An update is answered when it is
// durable.
//
// The package knows documents. It refuses to know topics, who may ask, and how
// refusals are numbered on the wire: whoever asks tells the answers on.
//
// Begin with Engine.Submit; document.go has what an update does to a document.
// The rules are those of iot-shadow-and-data.md, sections 2 to 4.
package shadow
