//go:build linux

package local_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"strait/await"
	"strait/state"
	"strait/state/local"
)

// TestPowerLoss takes the power away. A process writes to an ext4 file system
// of its own and prints what was acknowledged; then the file system is shut
// down as if the power had failed (everything that the kernel has not been made
// to write is gone: EXT4_IOC_SHUTDOWN without flushing the log), mounted again,
// and must hold every acknowledged batch, and no half one.
//
// Built with the tag nosync the store does not make the kernel write. Then the
// test is green only if it did see losses: that shows that it can.
func TestPowerLoss(t *testing.T) {
	disk := newDisk(t)
	lost := 0
	for round := range 4 {
		disk.mount(t)
		dir := filepath.Join(disk.at, "facts")
		acked, late := writeUntilPowerLoss(t, disk, dir, fmt.Sprintf("%d", round), 150*(round+1))
		disk.unmount(t)
		disk.mount(t)
		lost += countLost(t, dir, acked)
		lostLate := countLost(t, dir, late)
		disk.unmount(t)
		t.Logf("round %d: %d batches acknowledged, %d lost in all; %d of %d that were said after the end", round, len(acked), lost, lostLate, len(late))
		if lossy {
			disk.format(t) // what is left may be corrupt
		}
	}
	if lossy && lost == 0 {
		t.Error("without durability nothing was lost: this test cannot see a loss")
	}
	if !lossy && lost > 0 {
		t.Errorf("%d acknowledged batches were lost", lost)
	}
}

// A disk is an ext4 file system in a file.
type disk struct{ image, at string }

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a file system")
	}
	d := &disk{image: filepath.Join(t.TempDir(), "image"), at: t.TempDir()}
	f, err := os.Create(d.image)
	if err == nil {
		err = f.Truncate(64 << 20)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	d.format(t)
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.at).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a file system here: %v %s", err, out)
	}
	d.unmount(t)
	t.Cleanup(func() { _ = exec.Command("umount", d.at).Run() })
	return d
}

func (d *disk) format(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("cannot make a file system here: %v %s", err, out)
	}
}

func (d *disk) mount(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.at).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
}

// unmount also waits until nobody has the file system any more: a process in a
// mount namespace of its own (a function under test elsewhere) may hold a copy
// of the mount, and mounting the image again would then give the one that was
// shut down.
func (d *disk) unmount(t *testing.T) {
	t.Helper()
	unmount(t, d.at)
	await.Until(t, "a file system that is not in use", func() bool {
		out, err := exec.Command("losetup", "-j", d.image).Output()
		return err != nil || len(bytes.TrimSpace(out)) == 0
	})
}

// powerOff is ioctl EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH
// (linux/fs/ext4/ext4.h).
func (d *disk) powerOff(t *testing.T) {
	t.Helper()
	f, err := os.Open(d.at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flags := uint32(2)
	if err := ioctl(f, 0x8004587d, &flags); err != 0 {
		t.Fatalf("shut the file system down: %v", err)
	}
}

// writeUntilPowerLoss runs the writing process until it has acknowledged
// enough, and returns what it acknowledged before the power went, which is
// owed, and what it said later, which is not: a machine without power says
// nothing, but this one does, and now and then ext4 lets an fsync that the
// shutdown overtakes return success.
func writeUntilPowerLoss(t *testing.T, d *disk, dir, round string, enough int) (acked, late map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildWrites$")
	cmd.Env = append(os.Environ(), "STRAIT_TEST_WRITE="+dir, "STRAIT_TEST_ROUND="+round)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked, late = map[string]bool{}, map[string]bool{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		key, ok := strings.CutPrefix(lines.Text(), "ack ")
		if !ok {
			continue
		}
		if len(acked) == enough {
			late[key] = true
			continue
		}
		if acked[key] = true; len(acked) == enough {
			d.powerOff(t)
			_ = cmd.Process.Signal(syscall.SIGKILL)
		}
	}
	_ = cmd.Wait()
	if len(acked) < enough {
		t.Fatalf("the writing process ended after %d batches", len(acked))
	}
	return acked, late
}

// TestChildWrites is the process that loses its disk.
func TestChildWrites(t *testing.T) {
	dir := os.Getenv("STRAIT_TEST_WRITE")
	if dir == "" {
		t.Skip("only for TestPowerLoss")
	}
	s := open(t, dir, local.Options{})
	acks := make(chan string)
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				// Values of all sizes, and a third fact that is overwritten
				// and deleted, so that the log is checkpointed and wraps.
				key := fmt.Sprintf("%s/%d/%d", os.Getenv("STRAIT_TEST_ROUND"), w, i)
				value := []byte(strings.Repeat(key+" ", 1+i*37%800))
				_, err := s.Apply(context.Background(),
					state.Write{Key: key + "/a", Value: value}, state.Write{Key: key + "/b", Value: value},
					state.Write{Key: fmt.Sprint("same/", w), Value: value, Delete: i%3 == 0})
				if err != nil {
					return
				}
				acks <- key
			}
		}()
	}
	for key := range acks {
		if _, err := os.Stdout.WriteString("ack " + key + "\n"); err != nil {
			return
		}
	}
}

// countLost opens what is left and counts acknowledged batches that are not
// whole there. Half a batch is an error in any case.
func countLost(t *testing.T, dir string, acked map[string]bool) int {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		if !lossy {
			t.Fatalf("open after the power loss: %v", err)
		}
		return len(acked)
	}
	defer s.Close()
	facts, err := s.List(context.Background(), "", "", 0)
	if err != nil {
		if !lossy {
			t.Fatalf("list after the power loss: %v", err)
		}
		return len(acked)
	}
	halves := map[string]int{}
	for _, f := range facts {
		if key := f.Key[:len(f.Key)-2]; !strings.HasPrefix(f.Key, "same/") {
			halves[key]++
			if !strings.HasPrefix(string(f.Value), key+" ") && !lossy {
				t.Errorf("after the power loss %q holds %.20q", f.Key, f.Value)
			}
		}
	}
	for key, n := range halves {
		if n != 2 && !lossy {
			t.Errorf("after the power loss half of batch %s is there", key)
		}
	}
	lost := 0
	for key := range acked {
		if halves[key] != 2 {
			lost++
		}
	}
	return lost
}
