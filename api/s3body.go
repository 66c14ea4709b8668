package api

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"strings"

	"strait"
	"strait/object"
)

// bodySums are what a request with a small body, XML, says of that body.
type bodySums struct {
	MD5 *string `aws:"header,Content-Md5"`
	sumHeaders
	Announced string `aws:"header,X-Amz-Trailer"`

	said bool
}

// CheckBody compares the body with what was said of it; whoever reads the body
// calls it before anything is made of it.
func (s *bodySums) CheckBody(body []byte, trailer map[string]string) error {
	if s.MD5 != nil {
		want, err := contentMD5(*s.MD5)
		if err != nil {
			return err
		}
		if got := md5.Sum(body); !bytes.Equal(want, got[:]) {
			return strait.Errorf(strait.Invalid, "digest", "The Content-MD5 you specified did not match what we received.")
		}
		s.said = true
	}
	sums := s.sumHeaders
	if name, ok := strings.CutPrefix(strings.ToLower(s.Announced), "x-amz-checksum-"); ok {
		if len(sums.Sums) > 0 {
			return severalSums()
		}
		sums.Sums = map[string]string{name: trailer["x-amz-checksum-"+name]}
	}
	algorithm, want, err := sums.one(false)
	if err != nil || algorithm == "" {
		return err
	}
	h, err := object.NewHash(algorithm)
	if err != nil {
		return err
	}
	h.Write(body)
	if base64.StdEncoding.EncodeToString(h.Sum(nil)) != want {
		return strait.Errorf(strait.Invalid, "digest", "The %s you specified did not match the calculated checksum.", algorithm)
	}
	s.said = true
	return nil
}

func contentMD5(text string) ([]byte, error) {
	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum) != md5.Size {
		e := strait.Errorf(strait.Invalid, "malformed digest", "The Content-MD5 you specified was invalid.")
		e.Detail = map[string]string{"Content-MD5": text[:min(len(text), 100)]}
		return nil, e
	}
	return sum, nil
}
