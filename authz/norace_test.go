//go:build !race

package authz_test

const race = false
