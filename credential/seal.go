package credential

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// A token is the base64url text, without padding, of
//
//	version (1 byte) | master key number (uvarint) | nonce (12) | AES-256-GCM
//
// base64url, because a token stands in URLs, and some clients do not escape
// what they put there. Associated data are the access key id and the header.

const (
	tokenVersion = 1
	nonceSize    = 12
)

// Strict, because otherwise several texts would be one token.
var tokenText = base64.RawURLEncoding.Strict()

// derived are the keys made from one master key; each has one use.
type derived struct{ seal, secret []byte }

func derive(master []byte) (*derived, error) {
	seal, err := hkdf.Key(sha256.New, master, nil, "strait session seal 1", 32)
	if err != nil {
		return nil, err
	}
	secret, err := hkdf.Key(sha256.New, master, nil, "strait session secret 1", 32)
	return &derived{seal, secret}, err
}

// aead is the seal of one access key id. A key of its own for each makes the
// number of tokens that random nonces allow a key of no concern.
func (d *derived) aead(accessKeyID string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(mac(d.seal, []byte(accessKeyID)))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// secretOf is the 40 characters that the holder of token signs with.
func (d *derived) secretOf(accessKeyID, token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.StdEncoding.EncodeToString(mac(d.secret, []byte(accessKeyID), sum[:])[:30])
}

// mac is unambiguous for our uses: an access key id has a fixed length.
func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// seal returns the token of body.
func (m *masterKey) seal(accessKeyID string, body []byte) (string, error) {
	aead, err := m.derived.aead(accessKeyID)
	if err != nil {
		return "", err
	}
	header := binary.AppendUvarint([]byte{tokenVersion}, m.Number)
	nonce := make([]byte, nonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	out := append(append([]byte(nil), header...), nonce...)
	out = aead.Seal(out, nonce, body, associated(accessKeyID, header))
	return tokenText.EncodeToString(out), nil
}

// unseal is the way back. key finds a master key by its number.
func unseal(accessKeyID, token string, key func(uint64) *masterKey) ([]byte, *masterKey, error) {
	if len(token) > MaxToken {
		return nil, nil, errors.New("too long")
	}
	for i := range len(token) {
		if token[i] == '\r' || token[i] == '\n' { // which the decoder skips
			return nil, nil, errors.New("not base64url")
		}
	}
	raw, err := tokenText.DecodeString(token)
	if err != nil || len(raw) == 0 || raw[0] != tokenVersion {
		return nil, nil, errors.New("not one of ours")
	}
	number, n := binary.Uvarint(raw[1:])
	if n <= 0 || len(raw) < 1+n+nonceSize {
		return nil, nil, errors.New("too short")
	}
	m := key(number)
	if m == nil {
		return nil, nil, errors.New("its master key is not there any more")
	}
	aead, err := m.derived.aead(accessKeyID)
	if err != nil {
		return nil, nil, err
	}
	header, rest := raw[:1+n], raw[1+n:]
	body, err := aead.Open(nil, rest[:nonceSize], rest[nonceSize:], associated(accessKeyID, header))
	return body, m, err
}

func associated(accessKeyID string, header []byte) []byte {
	return append([]byte(accessKeyID), header...)
}
