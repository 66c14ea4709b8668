package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"strait/device"
)

// sendFlags say how files are sent. They are also fields of run's configuration.
type sendFlags struct {
	KeyPrefix   string `help:"Put before each file's name, below what the device may write to."`
	KeyTemplate string `help:"Name of the object: {thing} {date} {year} {month} {day} {hour} {time} {name} {stem} {ext} {path} {host}; dates are the file's, in UTC. Default {name}."`
	Purpose     string `help:"Ask for credentials for one level below only."`

	ContentType     string            `help:"Content type; default: by the file's ending, else by its first bytes."`
	ContentEncoding string            `help:"Content encoding, such as gzip."`
	Metadata        map[string]string `help:"Metadata: name=value;name=value."`

	Bucket      string `help:"Where the function's answer does not say it."`
	Region      string `env:"AWS_REGION" help:"Where the function's answer does not say it."`
	S3Endpoint  string `name:"s3-endpoint" env:"AWS_ENDPOINT_URL_S3,AWS_ENDPOINT_URL" help:"URL of S3, instead of what the function's answer says."`
	PartSize    int64  `help:"Bytes of a part, at least 5242880; default: adapted to the link."`
	Concurrency int    `help:"How many parts are under way at once; default: adapted to the link."`

	Patience   span   `help:"How long to try on while nothing works; default 10m."`
	RefusedFor span   `default:"5s" help:"How long a refusal is tried again."`
	State      string `help:"Directory for journals, where they cannot be beside the files, and for the spool of streams." type:"path"`
	NoResume   bool   `help:"Keep no journal: an upload that dies begins anew."`
}

// input says how file is sent. path is its name in keys, with slashes.
func (s *sendFlags) input(f *linkFlags, file, path string) (device.UploadInput, error) {
	in := s.common()
	info, err := os.Stat(file)
	if err != nil {
		return in, err
	}
	in.File = file
	in.Key = s.key(f, path, info.ModTime())
	if in.ContentType == "" {
		in.ContentType = detect(file)
	}
	if !s.NoResume {
		in.Journal = device.JournalFor(file)
		if s.State != "" {
			whole, err := filepath.Abs(file)
			if err != nil {
				return in, err
			}
			if err := os.MkdirAll(s.State, 0o700); err != nil {
				return in, fmt.Errorf("make the directory for journals: %w", err)
			}
			sum := sha256.Sum256([]byte(whole))
			in.Journal = device.JournalFor(filepath.Join(s.State, filepath.Base(file)+"-"+hex.EncodeToString(sum[:6])))
		}
	}
	return in, nil
}

func (s *sendFlags) common() device.UploadInput {
	return device.UploadInput{
		ContentType: s.ContentType, ContentEncoding: s.ContentEncoding, Metadata: s.Metadata, Purpose: s.Purpose,
		Bucket: s.Bucket, Region: s.Region, Endpoint: s.S3Endpoint, PartSize: s.PartSize, Concurrency: s.Concurrency,
		Patience: time.Duration(s.Patience), RefusedFor: time.Duration(s.RefusedFor),
	}
}

// templateField is what stands for something in a template of keys.
var templateField = regexp.MustCompile(`\{[^{}]*\}`)

// checkTemplate refuses fields that there are not.
func (s *sendFlags) checkTemplate() error {
	for _, f := range templateField.FindAllString(s.KeyTemplate, -1) {
		if _, ok := (&linkFlags{}).fields("", time.Time{})[f]; !ok {
			return usageError{fmt.Errorf("the key template %q holds %s, which is no field", s.KeyTemplate, f)}
		}
	}
	return nil
}

// fields are what a template may name, of the file at path that was last
// written to at that time. It is the file's time, not now: an upload that goes
// on after midnight keeps its key.
func (f *linkFlags) fields(path string, at time.Time) map[string]string {
	at = at.UTC()
	name := path[strings.LastIndexByte(path, '/')+1:]
	ext := filepath.Ext(name)
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return map[string]string{
		"{thing}": f.Thing, "{date}": at.Format("2006-01-02"), "{year}": at.Format("2006"), "{month}": at.Format("01"), "{day}": at.Format("02"),
		"{hour}": at.Format("15"), "{time}": at.Format("150405"), "{name}": name, "{stem}": strings.TrimSuffix(name, ext), "{ext}": strings.TrimPrefix(ext, "."),
		"{path}": path, "{host}": host,
	}
}

// key fills the template in. With credentials from MQTT the key is below the
// thing's prefix anyway, so a leading {thing}/ is not doubled.
func (s *sendFlags) key(f *linkFlags, path string, at time.Time) string {
	t := s.KeyTemplate
	if t == "" {
		t = "{name}"
	}
	if f.From == "mqtt" || f.From == "" {
		t = strings.TrimPrefix(t, "{thing}/")
	}
	fields := f.fields(path, at)
	return s.KeyPrefix + templateField.ReplaceAllStringFunc(t, func(field string) string { return fields[field] })
}

// detect finds the content type by the ending, else by the first bytes.
func detect(file string) string {
	if t := mime.TypeByExtension(strings.ToLower(filepath.Ext(file))); t != "" {
		return t
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	start := make([]byte, 512)
	n, _ := f.Read(start) // what cannot be read has no type; sending it will say why
	return http.DetectContentType(start[:n])
}

// send sends one file and reports it.
func (s *sendFlags) send(ctx context.Context, l *link, r *report, in device.UploadInput) (*device.UploadOutput, error) {
	in.Progress, in.Say = r.begin(in.File), r.say
	out, err := l.Upload(ctx, in)
	r.end(in.File, out, err)
	return out, err
}
