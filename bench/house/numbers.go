package house

import (
	"slices"
	"time"
)

// Quantile returns the q-th quantile (0 to 1) of times, by nearest rank.
func Quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(times))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// Median returns the middle of xs.
func Median(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(xs))[len(xs)/2]
}
