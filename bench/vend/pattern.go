package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/tls"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"strait/setup"
)

// makePattern makes the upload pattern as people make it, and a device. The
// native way is what setup gives; for a process the file that asks for the
// built-in function is left out of the zip.
func makePattern(ctx context.Context, s *setup.Session, dir, bootstrap string, native bool) (cert tls.Certificate, err error) {
	made, err := setup.Upload(ctx, s, setup.UploadInput{Bucket: "uploads", Things: []string{thing}, VendFile: bootstrap})
	if err != nil {
		return cert, err
	}
	if !native {
		if err := onlyBootstrap(ctx, s, string(made.Function), bootstrap); err != nil {
			return cert, err
		}
	}
	files, err := setup.Thing(ctx, s, thing, dir)
	if err != nil {
		return cert, err
	}
	return tls.LoadX509KeyPair(files.Certificate, files.Key)
}

func onlyBootstrap(ctx context.Context, s *setup.Session, function, bootstrap string) error {
	program, err := os.ReadFile(bootstrap)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	_, err = s.Lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &function, ZipFile: b.Bytes()})
	return err
}
