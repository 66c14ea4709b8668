package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"

	"strait"
)

// Limits of the framing; what clients send is far below.
const (
	maxChunkLine    = 1 << 10
	maxTrailerLine  = 4 << 10
	maxTrailerLines = 16
)

// chunked takes S3's aws-chunked framing apart (sigv4.md section 4):
//
//	<hex size>[;chunk-signature=<hex>] CRLF <bytes> CRLF ... 0[;chunk-signature=<hex>] CRLF [trailer lines] CRLF
type chunked struct {
	r         *bufio.Reader
	size      int64      // bytes announced
	seen      int64      // bytes of the chunks begun
	trailing  bool       // trailer lines follow the last chunk
	announced []string   // names of trailers, lower-case
	seal      *chunkSeal // nil when chunks are not signed

	small bool         // a signed chunk was too small to be followed by another
	left  int64        // bytes of an unsigned chunk not yet passed on
	kept  bytes.Buffer // bytes of a signed chunk, checked and not yet passed on
	open  bool         // a chunk was begun, and its CRLF not yet read
	found map[string]string
}

func (d *chunked) trailers() map[string]string { return d.found }

func (d *chunked) Read(p []byte) (int, error) {
	for d.left == 0 && d.kept.Len() == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	if d.kept.Len() > 0 {
		return d.kept.Read(p)
	}
	n, err := d.r.Read(p[:min(int64(len(p)), d.left)])
	d.left -= int64(n)
	if err != nil {
		err = cutOff(err)
	}
	return n, err
}

// next begins the next chunk; io.EOF after the last when all is well.
func (d *chunked) next() error {
	// 1. The end of the chunk before.
	if d.open {
		if err := d.crlf(); err != nil {
			return err
		}
		d.open = false
	}
	// 2. The line that begins it.
	size, signature, err := d.header()
	if err != nil {
		return err
	}
	if size > d.size-d.seen {
		return d.wrongLength("longer")
	}
	d.seen += size
	if size == 0 {
		return d.finish(signature)
	}
	// 3. Its bytes: passed on, or kept and checked.
	d.open = true
	if d.seal == nil {
		d.left = size
		return nil
	}
	return d.keep(size, signature)
}

func (d *chunked) keep(size int64, signature string) error {
	if d.small {
		return invalid("chunk size", "Only the last chunk is allowed to have a size less than %d bytes", MinSignedChunk)
	}
	d.small = size < MinSignedChunk
	if size > MaxSignedChunk {
		return invalid("chunk", "A signed chunk has %d bytes; %d is the most.", size, MaxSignedChunk)
	}
	d.kept.Reset()
	// The buffer grows with what has come, not with what was promised.
	if _, err := io.CopyN(&d.kept, d.r, size); err != nil {
		d.kept.Reset()
		return cutOff(err)
	}
	if !d.seal.chunk(d.kept.Bytes(), signature) {
		d.kept.Reset()
		return wrongChunk()
	}
	return nil
}

// finish reads what follows the last chunk, up to the end of the body.
func (d *chunked) finish(signature string) error {
	if d.seal != nil && !d.seal.chunk(nil, signature) {
		return wrongChunk()
	}
	if d.seen != d.size {
		return d.wrongLength("shorter")
	}
	found := make(map[string]string)
	if d.trailing {
		if err := d.readTrailer(found); err != nil {
			return err
		}
	} else if line, err := d.line(maxChunkLine); err != nil && err != io.EOF {
		return err
	} else if line != "" {
		return invalid("chunk", "Something follows the last chunk.")
	}
	// To the very end: otherwise the connection could not be used again.
	switch _, err := d.r.ReadByte(); {
	case err == nil:
		return invalid("body length", "The body goes on after its end.")
	case err != io.EOF:
		return err
	}
	d.found = found
	return io.EOF
}

// header reads the line that begins a chunk.
func (d *chunked) header() (size int64, signature string, err error) {
	line, err := d.line(maxChunkLine)
	if err != nil {
		return 0, "", cutOff(err)
	}
	text, extension, _ := strings.Cut(line, ";")
	if d.seal != nil {
		var ok bool
		if signature, ok = strings.CutPrefix(extension, "chunk-signature="); !ok {
			return 0, "", invalid("chunk", "A chunk has no chunk-signature.")
		}
	} else if extension != "" {
		return 0, "", invalid("chunk", "A chunk has an extension, and its framing has none.")
	}
	if text == "" || len(text) > 15 || strings.Trim(text, "0123456789abcdefABCDEF") != "" {
		return 0, "", invalid("chunk", "A chunk's size is not a hexadecimal number.")
	}
	if size, err = strconv.ParseInt(text, 16, 64); err != nil {
		return 0, "", invalid("chunk", "A chunk's size is not a hexadecimal number.")
	}
	return size, signature, nil
}

// readTrailer reads lines up to an empty one or the end of the body.
func (d *chunked) readTrailer(found map[string]string) error {
	var text strings.Builder // as it is signed
	signature := ""
	for n := 0; ; n++ {
		line, err := d.line(maxTrailerLine)
		if err != nil && err != io.EOF {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || n == maxTrailerLines || signature != "" {
			return wrongTrailer("The trailer is malformed.")
		}
		if name == "x-amz-trailer-signature" && d.seal != nil {
			signature = value
			continue
		}
		if _, again := found[name]; again || !slices.Contains(d.announced, name) {
			return wrongTrailer("The trailer has a header that x-amz-trailer does not announce once.")
		}
		found[name] = value
		text.WriteString(name + ":" + value + "\n")
	}
	for _, name := range d.announced {
		if _, ok := found[name]; !ok {
			return wrongTrailer("The trailer lacks a header that x-amz-trailer announces.")
		}
	}
	if d.seal != nil && !d.seal.trailer(text.String(), signature) {
		return wrongChunk()
	}
	return nil
}

// line reads up to LF and takes CRLF or LF off; some encoders end the lines of a
// trailer with LF only. At the end of the body it returns what is left and io.EOF.
func (d *chunked) line(limit int) (string, error) {
	var line []byte
	for len(line) <= limit {
		c, err := d.r.ReadByte()
		if err != nil {
			return string(line), err
		}
		if c == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, c)
	}
	return "", invalid("chunk", "A line of the framing is longer than %d bytes.", limit)
}

func (d *chunked) crlf() error {
	var end [2]byte
	if _, err := io.ReadFull(d.r, end[:]); err != nil {
		return cutOff(err)
	}
	if end != [2]byte{'\r', '\n'} {
		return invalid("chunk", "A chunk does not end with CRLF.")
	}
	return nil
}

// chunkSeal is the chain of signatures: each covers the one before.
type chunkSeal struct {
	key         []byte
	date, scope string
	previous    string
}

// chunk tells whether data is the next chunk.
func (s *chunkSeal) chunk(data []byte, signature string) bool {
	sum := sha256.Sum256(data)
	return s.next("AWS4-HMAC-SHA256-PAYLOAD", EmptyPayload+"\n"+hex.EncodeToString(sum[:]), signature)
}

// trailer tells whether text is the trailer.
func (s *chunkSeal) trailer(text, signature string) bool {
	sum := sha256.Sum256([]byte(text))
	return s.next("AWS4-HMAC-SHA256-TRAILER", hex.EncodeToString(sum[:]), signature)
}

func (s *chunkSeal) next(algorithm, hashes, signature string) bool {
	toSign := strings.Join([]string{algorithm, s.date, s.scope, s.previous, hashes}, "\n")
	want := hex.EncodeToString(hmac256(s.key, toSign))
	s.previous = want
	return hmac.Equal([]byte(want), []byte(signature))
}

func wrongChunk() error {
	return unproven("chunk signature", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
}

func wrongTrailer(why string) error {
	return invalid("trailer", "The request contained trailing data that was not well-formed or did not conform to our published schema: %s", why)
}

func (d *chunked) wrongLength(how string) error {
	return invalid("body length", "The body is %s than the x-amz-decoded-content-length of %d bytes.", how, d.size)
}

// cutOff is for a body that ends inside a chunk; other errors of the connection
// stay what they are.
func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &strait.Error{
			Kind: strait.Invalid, Thing: "body length", Err: io.ErrUnexpectedEOF,
			Message: "You did not provide the number of bytes specified by the Content-Length HTTP header.",
		}
	}
	return err
}
