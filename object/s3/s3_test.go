package s3_test

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"strait"
	"strait/object"
	"strait/object/objecttest"
	"strait/object/s3"
	"strait/server"
	"strait/state"
	"strait/state/local"
)

func openFacts(t *testing.T) state.Store {
	t.Helper()
	facts, err := local.Open(t.TempDir(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { facts.Close() })
	return facts
}

// behind starts another Strait, the store behind ours.
func behind(t *testing.T) s3.Options {
	t.Helper()
	h, err := server.Start(t.Context(), server.Config{Data: t.TempDir(), Place: strait.Place{Region: "eu-west-1", Account: "210987654321"},
		Hosts: []string{"localhost"}, HTTP: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	r := h.Ready()
	c, err := config.LoadDefaultConfig(t.Context(), config.WithSharedConfigProfile("default"),
		config.WithSharedConfigFiles([]string{r.Credentials}), config.WithSharedCredentialsFiles([]string{r.Credentials}))
	if err != nil {
		t.Fatal(err)
	}
	return s3.Options{Endpoint: "http://" + r.HTTP[0], Region: "eu-west-1", Credentials: c.Credentials}
}

func openStore(t *testing.T, o s3.Options) *s3.Store {
	t.Helper()
	o.Spool = t.TempDir()
	s, err := s3.Open(openFacts(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// empty takes everything out of the store behind.
func empty(t *testing.T, s *s3.Store) {
	t.Helper()
	all, err := s.Buckets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		page, err := s.List(t.Context(), b.Name, object.Query{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			if err := s.Delete(t.Context(), b.Name, o.Key, object.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.DeleteBucket(t.Context(), b.Name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestContract(t *testing.T) {
	o := behind(t)
	objecttest.Run(t, func(t *testing.T) object.Store {
		empty(t, openStore(t, o))
		return openStore(t, o)
	})
}

// With STRAIT_TEST_S3=http://host:port and AWS's usual keys in the environment
// the suite runs on a store that somebody else has made. What is in it is lost.
func TestContractElsewhere(t *testing.T) {
	endpoint := os.Getenv("STRAIT_TEST_S3")
	if endpoint == "" {
		t.Skip("STRAIT_TEST_S3 names no store")
	}
	o := s3.Options{Endpoint: endpoint, Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(
		os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""))}
	objecttest.Run(t, func(t *testing.T) object.Store {
		empty(t, openStore(t, o))
		return openStore(t, o)
	})
}
