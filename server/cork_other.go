//go:build !linux

package server

import (
	"context"
	"net"
)

func corking(l net.Listener) net.Listener { return l }

func corkedContext(ctx context.Context, _ net.Conn) context.Context { return ctx }
