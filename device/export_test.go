package device

// For tests of what cannot be seen from outside.
var (
	CombineCRC = combineCRC
	NewCRC     = newCRC
	Matches    = matches
)

// ReadReply reads an answer as a Grant of thing.
func ReadReply(data []byte) (parts [3]string, refused bool, err error) {
	r, err := readReply(data)
	return [3]string{r.AccessKeyID, r.SecretAccessKey, r.SessionToken}, r.Error != nil, err
}
