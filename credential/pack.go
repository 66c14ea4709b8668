package credential

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"strait"
)

// The body of a token is two parts: what narrows a session (policy, ARNs, tags),
// deflated when that is shorter, and the rest. Strings have their length before
// them. All of it belongs to tokenVersion, the dictionary too.
//
// Deflating before sealing lets the length tell something of the content. Policy,
// ARNs and tags come from one caller, who knows them; nothing secret is among
// them.

// maxPlain bounds what narrows a session before it is deflated.
const maxPlain = 64 << 10

// dictionary holds what session policies say most, the most frequent last.
const dictionary = `{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Deny","Principal":"NotAction":"NotResource":` +
	`"Condition":{"StringEquals":{"StringLike":{"aws:PrincipalTag/"aws:SourceIp":"s3:prefix":["iot:Connection.Thing.ThingName` +
	`"lambda:InvokeFunction","logs:PutLogEvents","kinesisvideo:"s3:ListBucket","s3:DeleteObject","s3:GetObject",` +
	`"s3:AbortMultipartUpload","s3:ListMultipartUploadParts","iot:DescribeEndpoint","iot:GetThingShadow","iot:UpdateThingShadow",` +
	`"iot:RetainPublish","Resource":"*"},"iot:Connect","iot:Publish","iot:Receive"],"iot:Subscribe","arn:aws:iam::aws:policy/` +
	`arn:aws:lambda:arn:aws:iot:*:*:client/arn:aws:iot:*:*:topic/arn:aws:iot:*:*:topicfilter/"Resource":["arn:aws:iot:` +
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::/*"]}]}` +
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::/*"}]}`

var errPlain = errors.New("over 64 KiB before packing")

// A packer keeps deflaters, which are costly to make.
type packer struct{ writers, readers sync.Pool }

// pack returns the body of s and how many bytes of it narrow the session.
func (p *packer) pack(s Session) (body []byte, packed int, err error) {
	narrow, err := p.squeeze(appendNarrow(nil, s))
	if err != nil {
		return nil, 0, err
	}
	if s.Policy != "" || len(s.PolicyARNs) > 0 || len(s.Tags) > 0 {
		packed = len(narrow)
	}
	body = appendBytes(nil, narrow)
	return appendRest(body, s), packed, nil
}

// unpack is the way back.
func (p *packer) unpack(body []byte) (Session, error) {
	d := decoder{rest: body}
	plain, err := p.expand(d.bytes())
	if err != nil {
		return Session{}, err
	}
	n := decoder{rest: plain}
	var s Session
	n.narrow(&s)
	d.other(&s)
	return s, errors.Join(n.end(), d.end())
}

func appendNarrow(b []byte, s Session) []byte {
	b = appendString(b, s.Policy)
	b = binary.AppendUvarint(b, uint64(len(s.PolicyARNs)))
	for _, a := range s.PolicyARNs {
		b = appendString(b, string(a))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Tags)))
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		b = appendString(appendString(b, key), s.Tags[key])
		b = appendBool(b, slices.Contains(s.Transitive, key))
	}
	return b
}

func (d *decoder) narrow(s *Session) {
	s.Policy = d.string()
	for range d.count() {
		s.PolicyARNs = append(s.PolicyARNs, strait.ARN(d.string()))
	}
	for i := range d.count() {
		if i == 0 {
			s.Tags = make(map[string]string)
		}
		key := d.string()
		s.Tags[key] = d.string()
		if d.bool() {
			s.Transitive = append(s.Transitive, key)
		}
	}
}

func appendRest(b []byte, s Session) []byte {
	for _, v := range []string{string(s.Kind), s.RoleID, string(s.RoleARN), s.Name, s.SourceIdentity, s.Trace} {
		b = appendString(b, v)
	}
	b = binary.AppendVarint(b, s.Issued.UnixMilli())
	b = binary.AppendVarint(b, s.Expires.Unix())
	b = appendBool(b, s.Chained)
	b = binary.AppendUvarint(b, uint64(len(s.Context)))
	for _, key := range slices.Sorted(maps.Keys(s.Context)) {
		b = appendString(appendString(b, key), s.Context[key])
	}
	return b
}

func (d *decoder) other(s *Session) {
	s.Kind = strait.PrincipalKind(d.string())
	s.RoleID, s.RoleARN, s.Name = d.string(), strait.ARN(d.string()), d.string()
	s.SourceIdentity, s.Trace = d.string(), d.string()
	s.Issued = time.UnixMilli(d.varint()).UTC()
	s.Expires = time.Unix(d.varint(), 0).UTC()
	s.Chained = d.bool()
	for i := range d.count() {
		if i == 0 {
			s.Context = make(map[string]string)
		}
		key := d.string()
		s.Context[key] = d.string()
	}
}

// squeeze puts a 1 before what it has deflated, a 0 before what it has not.
func (p *packer) squeeze(plain []byte) ([]byte, error) {
	if len(plain) > maxPlain {
		return nil, errPlain
	}
	out := bytes.NewBuffer([]byte{1})
	w, ok := p.writers.Get().(*flate.Writer)
	if ok {
		w.Reset(out)
	} else {
		var err error
		if w, err = flate.NewWriterDict(out, flate.BestCompression, []byte(dictionary)); err != nil {
			return nil, err
		}
	}
	defer p.writers.Put(w)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if out.Len() > len(plain) {
		return append([]byte{0}, plain...), nil
	}
	return out.Bytes(), nil
}

func (p *packer) expand(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, errShort
	}
	how, packed := packed[0], packed[1:]
	if how == 0 {
		return packed, nil
	}
	r, ok := p.readers.Get().(io.Reader)
	if ok {
		if err := r.(flate.Resetter).Reset(bytes.NewReader(packed), []byte(dictionary)); err != nil {
			return nil, err
		}
	} else {
		r = flate.NewReaderDict(bytes.NewReader(packed), []byte(dictionary))
	}
	defer p.readers.Put(r)
	plain, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err == nil && len(plain) > maxPlain {
		err = errPlain
	}
	return plain, err
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// appendString writes lower-case hexadecimal as the bytes that it stands for:
// certificate and trace ids are, and take half the room.
func appendString(b []byte, s string) []byte {
	if raw, err := hex.DecodeString(s); err == nil && s != "" && hex.EncodeToString(raw) == s {
		return append(binary.AppendUvarint(b, uint64(len(raw))<<1|1), raw...)
	}
	return append(binary.AppendUvarint(b, uint64(len(s))<<1), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

var errShort = errors.New("body of token cut off")

// A decoder reads what append* wrote. After its first error it reads zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) take(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.rest)) {
		d.err = errShort
		return nil
	}
	v := d.rest[:n]
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || d.err != nil {
		d.err = errShort
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 || d.err != nil {
		d.err = errShort
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count is of things that take a byte or more each.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.err = errShort
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) string() string {
	n := d.uvarint()
	v := d.take(n >> 1)
	if n&1 == 1 {
		return hex.EncodeToString(v)
	}
	return string(v)
}

func (d *decoder) bool() bool {
	v := d.take(1)
	return len(v) == 1 && v[0] == 1
}

func (d *decoder) end() error {
	if d.err == nil && len(d.rest) > 0 {
		return errors.New("body of token goes on")
	}
	return d.err
}
