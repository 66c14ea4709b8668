package authz_test

import (
	"strconv"
	"testing"

	"strait"
	"strait/authz"
)

// BenchmarkAsk is what a decision of the corridor costs: of a request that is
// allowed, and of one that is refused, each a trace of its own.
func BenchmarkAsk(b *testing.B) {
	h := open(b)
	c := h.user("alice", doc(allow("s3:GetObject", "arn:aws:s3:::b/mine/*"), allow("s3:ListBucket", "arn:aws:s3:::b"), allow("s3:PutObject", "arn:aws:s3:::b/mine/*")))
	for _, key := range []string{"mine/x", "other/x"} {
		b.Run(key, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				one := *c
				one.Trace = strconv.Itoa(n)
				h.Ask(&one, "PutObject", authz.Ask{Action: "s3:PutObject", Resource: strait.ARN("arn:aws:s3:::b/" + key)})
			}
		})
	}
}
