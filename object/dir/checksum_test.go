package dir_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"strait/object"
	"strait/object/dir"
)

// What nobody has asked a checksum of has CRC64NVME, alone and in parts; and
// every algorithm that there is can be asked for.
func TestChecksumsOfItsOwn(t *testing.T) {
	h := newHome(t, dir.Options{})
	ctx := t.Context()
	sum := func(algorithm string, b []byte) object.Checksum {
		w, err := object.NewHash(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(b)
		return object.Checksum{Algorithm: algorithm, Type: object.FullObject, Value: base64.StdEncoding.EncodeToString(w.Sum(nil))}
	}
	body := bytes.Repeat([]byte("strait"), object.MinPart/6+1)
	info, err := h.Put(ctx, "bucket", "k", bytes.NewReader(body), object.PutOptions{Size: -1})
	if want := sum(object.CRC64NVME, body); err != nil || info.Checksum != want {
		t.Errorf("put: got %+v, %v, want %+v", info.Checksum, err, want)
	}
	u, err := h.CreateUpload(ctx, "bucket", "k", object.UploadOptions{})
	if err != nil || u.Algorithm != "" {
		t.Fatalf("create upload: got %+v, %v", u, err)
	}
	var parts []object.CompletePart
	for n := 1; n <= 2; n++ {
		p, err := h.PutPart(ctx, "bucket", "k", u.ID, n, bytes.NewReader(body), object.PutOptions{Size: -1})
		if err != nil || p.Checksum != (object.Checksum{}) {
			t.Fatalf("put part: got %+v, %v", p, err)
		}
		parts = append(parts, object.CompletePart{Number: n, ETag: p.ETag})
	}
	info, err = h.Complete(ctx, "bucket", "k", u.ID, parts, object.CompleteOptions{Size: -1})
	if want := sum(object.CRC64NVME, append(bytes.Clone(body), body...)); err != nil || info.Checksum != want {
		t.Errorf("complete: got %+v, %v, want %+v", info.Checksum, err, want)
	}
	for _, a := range object.Algorithms() {
		want := sum(a, body)
		o := object.PutOptions{Size: -1, Algorithm: a, Want: func() (string, error) { return want.Value, nil }}
		if info, err := h.Put(ctx, "bucket", a, bytes.NewReader(body), o); err != nil || info.Checksum != want {
			t.Errorf("put with %s: got %+v, %v, want %+v", a, info.Checksum, err, want)
		}
		if info, err := h.Head(ctx, "bucket", a); err != nil || info.Checksum != want {
			t.Errorf("head with %s: got %+v, %v, want %+v", a, info.Checksum, err, want)
		}
	}
}
