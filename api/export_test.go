package api

// What tests look at from outside.

// A Position is where something stands in a text.
type Position = position

// Extent is extent.
var Extent = extent

// DecodeUser and EncodeUser are the two directions of user properties.
var (
	DecodeUser = decodeUser
	EncodeUser = encodeUser
)
