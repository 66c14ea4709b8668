package api

import "strait"

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

// A placeView is a View that knows where it is and nothing else.
type placeView struct {
	View
	place strait.Place
}

func (v placeView) Place() strait.Place { return v.place }

// FunctionARN is what a name and a qualifier mean.
func FunctionARN(p strait.Place, name, qualifier string) (strait.ARN, error) {
	t, err := resolve(placeView{place: p}, &functionInput{FunctionName: name, Qualifier: qualifier})
	return t.arn, err
}
