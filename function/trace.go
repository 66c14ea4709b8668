package function

import "context"

// traceKey is the key under which the context of Credentialer.Credentials
// carries the story that the function is started for.
type traceKey struct{}

func withTrace(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

// TraceOf returns the trace of the invocation for which credentials are being
// minted, "" when they are minted for none.
func TraceOf(ctx context.Context) string {
	trace, _ := ctx.Value(traceKey{}).(string)
	return trace
}
