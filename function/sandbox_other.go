//go:build !linux

package function

import (
	"errors"
	"net"
	"syscall"
)

// Outside Linux a process cannot be confined: functions run only with
// Config.Trust, and their Runtime API is open to every process of the host.

const selfPath = ""

type confiner struct{ switchUser, landlock bool }

func newConfiner() *confiner             { return &confiner{} }
func (c *confiner) possible() bool       { return false }
func (c *confiner) id() (int, bool)      { return 0, false }
func (c *confiner) release(int)          {}
func (c *confiner) close()               {}
func attributes() *syscall.SysProcAttr   { return &syscall.SysProcAttr{Setsid: true} }
func awaitExit(int)                      {}
func killAll(leader, _ int)              { syscall.Kill(-leader, syscall.SIGKILL) }
func checkPeer(net.Conn, int, int) error { return nil }

func become(c confinement) (bool, error) {
	if !c.Trust {
		return true, errors.New("functions cannot be confined on this system")
	}
	if err := syscall.Chdir(c.Dir); err != nil {
		return true, err
	}
	return false, syscall.Exec(c.Path, c.Args, c.Env)
}
