package server_test

import (
	"strings"
	"testing"

	"strait"
	"strait/server"
)

// A place of objects that cannot be read, or whose keys are missing, is refused
// before anything is made.
func TestPlacesOfObjects(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	for place, want := range map[string]string{
		"/somewhere":                    "s3://BUCKET",
		"https://store/bucket":          "s3://BUCKET",
		"s3://bucket/prefix":            "s3://BUCKET",
		"s3://me:secret@bucket":         "s3://BUCKET",
		"s3://bucket?endpiont=x":        "endpiont",
		"s3://bucket?region=a&region=b": "twice",
		"s3://bucket?style=x":           "style",
		"s3://bucket":                   "AWS_ACCESS_KEY_ID",
	} {
		s, err := server.Start(t.Context(), server.Config{Data: t.TempDir(), Place: strait.Place{Region: "ap-northeast-1", Account: "123456789012"},
			Hosts: []string{"localhost"}, HTTP: []string{"127.0.0.1:0"}, Objects: place})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: got %v, want something about %q", place, err, want)
		}
	}
}
