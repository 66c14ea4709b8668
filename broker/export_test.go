package broker

// For tests of what a caller cannot see.
var (
	EncodeMessage = encodeMessage
	DecodeMessage = decodeMessage
)

// Resident returns how many bytes of stored messages a client's queue holds in memory.
func (b *Broker) Resident(clientID string) int64 { return b.box(clientID).resident.Load() }
