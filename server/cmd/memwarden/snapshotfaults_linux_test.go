package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/scratch"
)

// nobody is a user without rights.
const nobody = 65534

// atStage does something once, when the progress of a command shows that it has come to a stage.
type atStage struct {
	out   io.Writer
	stage string
	once  sync.Once
	do    func()
}

func (s *atStage) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.stage)) {
		s.once.Do(s.do)
	}
	return s.out.Write(p)
}

// at has a call do something when it comes to a stage; the command waits for it meanwhile. Its clock goes on by a second each
// time that it is read, so that all progress is shown.
func (c *call) at(stage string, do func()) *call {
	begin, read := time.Now(), new(atomic.Int64)
	c.now = func() time.Time { return begin.Add(time.Duration(read.Add(1)) * time.Second) }
	c.terminal = true
	c.stderr = &atStage{out: &c.errs, stage: stage, do: do}
	return c
}

// reading is the stage at which the process is frozen, and its memory is read.
const reading = "reading the heap"

// wantRefused wants a call to fail with one sentence, which has all the texts, and to leave nothing in a directory.
func (c *call) wantRefused(t *testing.T, dir string, texts ...string) {
	t.Helper()
	if code := execute(c.world); code != 1 || c.out.Len() > 0 {
		t.Errorf("%q: code %d\n%s%s", c.args, code, &c.out, &c.errs)
	}
	for _, text := range texts {
		if !strings.Contains(c.errs.String(), text) {
			t.Errorf("%q: no %q in\n%s", c.args, text, &c.errs)
		}
	}
	if lines := strings.Count(c.errs.String(), "\n"); lines != 1 {
		t.Errorf("%q: %d lines of errors, want one sentence:\n%s", c.args, lines, &c.errs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%q: files %v are left, %v", c.args, left, err)
	}
}

// frozen are the children of a program, which makes none of its own.
func (v *victim) frozen(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("/proc/" + v.pid() + "/task/*/children")
	if err != nil || len(names) == 0 {
		t.Fatalf("children of %s: %v, %v", v.pid(), names, err)
	}
	var children []string
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil { // a thread may have ended
			children = append(children, strings.Fields(string(text))...)
		}
	}
	return children
}

// wantUnharmed wants the program to run on, without a frozen child.
func (v *victim) wantUnharmed(t *testing.T) {
	t.Helper()
	v.alive(t)
	if left := v.frozen(t); len(left) > 0 {
		t.Errorf("children %v are left", left)
	}
}

// until waits for what other processes are about to do.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within a minute: %s", what)
			return
		}
	}
}

// TestSnapshotNearTheLimit: in a real container without room for a frozen copy there is none, and one that is there goes when
// the room does.
func TestSnapshotNearTheLimit(t *testing.T) {
	v := startLeaky(t)
	const ample, scarce = 512 << 20, 60 << 20 // 64 MiB stay in reserve
	group := memoryGroup(t, ample)
	limit := func(size int64) {
		for _, name := range []string{"memory.limit_in_bytes", "memory.max"} {
			if file := filepath.Join(group, name); exists(file) {
				writeFile(t, file, strconv.FormatInt(size, 10))
			}
		}
	}
	writeFile(t, filepath.Join(group, "cgroup.procs"), v.pid())
	t.Cleanup(func() { // before the group is removed
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "s")
	snapshot := func(stop string) *call {
		return newCall(t, "snapshot", "--pid", v.pid(), "-o", file, "--stop", stop)
	}
	remove := func() {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
	snapshot("never").want(t, 0, "a fork was injected", "")
	remove()
	v.wantUnharmed(t)

	limit(scarce)
	snapshot("never").wantRefused(t, dir, "too little memory left: ", "64.0 MiB must stay in reserve", "of 60.0 MiB are in use", "raise that limit", "--stop=only")
	v.wantUnharmed(t)
	c := snapshot("allow")
	c.want(t, 0, "it was read while it stopped, as it could not be made to fork (too little memory left: ", "")
	if !strings.Contains(c.out.String(), "of 60.0 MiB are in use") {
		t.Errorf("which limit it is stands nowhere:\n%s", &c.out)
	}
	remove()
	v.wantUnharmed(t)
	snapshot("only").want(t, 0, "it was read while it stopped\n", "")
	remove()
	v.wantUnharmed(t)

	limit(ample)
	snapshot("allow").at(reading, func() {
		if len(v.frozen(t)) != 1 {
			t.Errorf("the frozen copy is %v", v.frozen(t))
		}
		limit(scarce)
		until(t, "the frozen copy is killed", func() bool { return len(v.frozen(t)) == 0 })
	}).wantRefused(t, dir, "too little memory left: ", "the frozen child was killed", "of 60.0 MiB are in use", "--stop=only")
	v.wantUnharmed(t)
}

// TestSnapshotNearAParentsLimit: in cgroup v2, of which the test has files of its own, the limit of a group above counts.
func TestSnapshotNearAParentsLimit(t *testing.T) {
	v := startLeaky(t)
	root, dir := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, text)
	}
	for _, name := range []string{"stat", "statm", "status"} {
		text, err := os.ReadFile(filepath.Join("/proc", v.pid(), name))
		if err != nil {
			t.Fatal(err)
		}
		write("proc/"+v.pid()+"/"+name, string(text))
	}
	write("proc/"+v.pid()+"/cgroup", "0::/pod/app\n")
	write("proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n")
	write("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")
	for name, text := range map[string]string{
		"pod/memory.max": "1048576000", "pod/memory.current": "996147200", "pod/memory.stat": "inactive_file 0", // 1000 and 950 MiB
		"pod/app/memory.max": "max", "pod/app/memory.current": "104857600", "pod/app/memory.stat": "inactive_file 0",
		"pod/app/cgroup.procs": v.pid(), "pod/cgroup.procs": "",
	} {
		write("sys/fs/cgroup/"+name, text+"\n")
	}
	snapshot := func(stop string) *call {
		c := newCall(t, "snapshot", "--pid", v.pid(), "-o", filepath.Join(dir, "s"), "--stop", stop)
		c.root = root
		return c
	}
	snapshot("never").wantRefused(t, dir, "50.0 MiB are available", "(the limit of control group /pod: 950.0 MiB of 1000.0 MiB are in use)")
	v.wantUnharmed(t)
	write("sys/fs/cgroup/pod/memory.current", "104857600\n")
	snapshot("never").want(t, 0, "a fork was injected", "")
	v.wantUnharmed(t)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// TestSnapshotOneAtATime: while a process is captured it is not captured again.
func TestSnapshotOneAtATime(t *testing.T) {
	v := startLeaky(t)
	dir, other := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "s")
	for stop, texts := range map[string][]string{
		"never": {"a capture of this process is already running", "is its frozen child: wait until that capture is over"},
		"only":  {"already traced: by process " + strconv.Itoa(os.Getpid())},
	} {
		newCall(t, "snapshot", "--pid", v.pid(), "-o", file, "--stop", stop, "--force").at(reading, func() {
			for _, second := range []string{"allow", "never", "only"} {
				newCall(t, "snapshot", "--pid", v.pid(), "-o", filepath.Join(other, "s"), "--stop", second).wantRefused(t, other, texts...)
			}
		}).want(t, 0, "wrote "+file, "\r")
		v.wantUnharmed(t)
	}
	newCall(t, "analyze", file).want(t, 0, "20,000 main.Session", "")
}

// TestSnapshotOfADyingProcess: a process is killed in the middle of it. A frozen copy outlives it.
func TestSnapshotOfADyingProcess(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s")
	for _, stop := range []string{"only", "never"} {
		v := startLeaky(t)
		var frozen []string
		c := newCall(t, "snapshot", "--pid", v.pid(), "-o", file, "--stop", stop).at(reading, func() {
			frozen = v.frozen(t)
			if err := v.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			if stop == "never" {
				_ = v.cmd.Wait() // killed
			} else { // it cannot be reaped before it is let go
				until(t, "its memory is gone", func() bool {
					text, err := os.ReadFile("/proc/" + v.pid() + "/maps")
					return err != nil || len(text) == 0
				})
			}
		})
		if stop == "only" {
			c.wantRefused(t, dir, "process "+v.pid(), "the process is gone")
			continue
		}
		c.want(t, 0, "wrote "+file, "\r")
		newCall(t, "analyze", file).want(t, 0, "20,000 main.Session", "")
		if len(frozen) != 1 {
			t.Errorf("the frozen copy was %v", frozen)
		}
		for _, child := range frozen {
			until(t, "the frozen copy is gone", func() bool { return !exists("/proc/" + child) })
		}
	}
}

// TestSnapshotWithoutDisk: a disk that is too small is told of before the process is touched, and one that fills up leaves
// nothing behind.
func TestSnapshotWithoutDisk(t *testing.T) {
	v := startLeaky(t)
	disk := func(size int) string {
		dir := t.TempDir()
		scratch.SmallDisk(t, dir, size)
		return dir
	}
	for _, stop := range []string{"never", "only"} {
		small := disk(64 << 10)
		newCall(t, "snapshot", "--pid", v.pid(), "-o", filepath.Join(small, "s"), "--stop", stop).
			wantRefused(t, small, "no room in "+small+": the snapshot of ", "the disk has 64.0 KiB free")
		v.wantUnharmed(t)

		filling := disk(256 << 20)
		newCall(t, "snapshot", "--pid", v.pid(), "-o", filepath.Join(filling, "s"), "--stop", stop).at(reading, func() {
			full := filepath.Join(filling, "full")
			if err := fill(full); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("fill the disk: %v, want no space", err)
			}
			// It keeps its room without a name, so that only what the snapshot leaves would be found.
			f, err := os.Open(full)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { f.Close() }) // before the disk is taken away
			if err := os.Remove(full); err != nil {
				t.Error(err)
			}
		}).wantRefused(t, filling, "no space left on device")
		v.wantUnharmed(t)
	}
}

// fill writes a file until there is no room, and returns the error that says so.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for {
		n, err := f.Write(block)
		if err != nil && n == 0 && len(block) == 1 {
			return errors.Join(err, f.Close())
		}
		if err != nil {
			block = block[:max(1, len(block)/16)]
		}
	}
}

// TestSnapshotOfAnotherUser runs the command as a user who may not look into the process.
func TestSnapshotOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can become another user")
	}
	v := startLeaky(t)
	memwarden, _ := program(t)
	dir := t.TempDir()
	text, err := os.ReadFile(memwarden)
	if err != nil {
		t.Fatal(err)
	}
	binary, out := filepath.Join(dir, "memwarden"), filepath.Join(dir, "out")
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.WriteFile(binary, text, 0o755), os.Mkdir(out, 0o700), os.Chown(out, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	for _, stop := range []string{"allow", "never", "only"} {
		cmd := exec.Command(binary, "snapshot", "--pid", v.pid(), "-o", filepath.Join(out, "s"), "--stop", stop)
		cmd.Dir, cmd.Env = out, []string{"PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		text, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || strings.Count(string(text), "\n") != 1 {
			t.Errorf("%v\n%s", err, text)
		}
		for _, want := range []string{"not permitted", "it belongs to user 0, and this is user 65534: run as that user", "CAP_SYS_PTRACE"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("no %q in %s", want, text)
			}
		}
		if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
			t.Errorf("files %v are left, %v", left, err)
		}
		v.wantUnharmed(t)
	}
}

// TestSnapshotOfAnUnknownVersion: a running program says that it was built with a Go that nobody knows yet.
func TestSnapshotOfAnUnknownVersion(t *testing.T) {
	path, err := buildLeaky()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	version := "go1.99.999999"[:len(info.GoVersion)] // as long, so that all else stays where it is
	future := filepath.Join(t.TempDir(), "future")
	if err := os.WriteFile(future, bytes.ReplaceAll(text, []byte(info.GoVersion), []byte(version)), 0o700); err != nil {
		t.Fatal(err)
	}
	v := startVictim(t, future)
	dir := t.TempDir()
	for _, stop := range []string{"allow", "never", "only"} {
		newCall(t, "snapshot", "--pid", v.pid(), "-o", filepath.Join(dir, "s"), "--stop", stop).wantRefused(t, dir, fmt.Sprintf("process %s", v.pid()), version)
		v.wantUnharmed(t)
	}
}
