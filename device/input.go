package device

import (
	"io"
	"time"
)

// An UploadInput says what to send where. Either File or Body and Size.
type UploadInput struct {
	File string
	Body io.ReaderAt // read several times and from several goroutines
	Size int64       // of Body

	// Key is below the prefix that the credentials are for. FullKey, if set,
	// is used as it stands instead.
	Key, FullKey string

	ContentType     string
	ContentEncoding string
	Metadata        map[string]string

	// Purpose and Duration narrow the credentials; see CredentialsOptions.
	Purpose  string
	Duration time.Duration

	// Where the function's answer does not say it, or to override it.
	Bucket, Region, Endpoint string

	// PartSize is at least 5 MiB; it grows so that there are at most 10,000
	// parts. Zero adapts it to the link. What is not longer (8 MiB when zero)
	// is sent as one object.
	PartSize int64
	// Concurrency is how many parts are under way at once. Zero adapts it to the
	// link, between 1 and 8.
	Concurrency int

	// Journal is a file that remembers what was sent, so that a later Upload
	// goes on where this one was when its process or the power died; see
	// JournalFor. Empty: nothing is remembered. It is removed at the end, or
	// with KeepJournal left: then an Upload of the same unchanged File to the
	// same place finds that it was stored and sends nothing.
	Journal     string
	KeepJournal bool

	// Patience is how long to try on while nothing works at all: no network, or
	// a server that fails; 10 min when zero.
	Patience time.Duration
	// RefusedFor is how long a refusal is tried again; zero: it is told at once.
	RefusedFor time.Duration
	// Say is told what happens on the way; it may be called by several
	// goroutines and must not block.
	Say func(Event)

	// Progress is called now and then, by one goroutine at a time, with the
	// bytes that are on the wire; retries can make it smaller again.
	Progress func(done, total int64)
}

// An UploadOutput tells what was stored.
type UploadOutput struct {
	Bucket, Key string
	Size        int64
	ETag        string
	// CRC64NVME is the checksum of the whole object, which the server has
	// verified, in base64 as S3 writes it.
	CRC64NVME string
	Parts     int // 1 for an object that was sent whole
}
