package process

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const rollup = `55f0c0000000-7ffd00000000 ---p 00000000 00:00 0                          [rollup]
Rss:                8192 kB
Pss:                5000 kB
Pss_Dirty:          1000 kB
Anonymous:          4096 kB
Swap:                  0 kB
`

func TestParseRollup(t *testing.T) {
	m, err := parseRollup([]byte(rollup))
	if want := (Memory{RSS: 8 << 20, Anonymous: 4 << 20, PSS: 5000 << 10}); err != nil || m != want {
		t.Errorf("%+v, %v: want %+v", m, err, want)
	}
	for _, wrong := range []string{
		"", "Rss: 1 kB\nPss: 1 kB\n", strings.Replace(rollup, "8192", "-1", 1), strings.Replace(rollup, "8192", "99999999999999999", 1),
	} {
		if m, err := parseRollup([]byte(wrong)); err == nil {
			t.Errorf("%q: %+v, want an error", wrong, m)
		}
	}
}

func FuzzParseRollup(f *testing.F) {
	f.Add([]byte(rollup))
	f.Add([]byte("Rss: 1 kB\nAnonymous: 2 kB\nPss: 3 kB"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := parseRollup(text); err == nil && (m.RSS < 0 || m.PSS < 0 || m.Anonymous < 0) {
			t.Errorf("%+v", m)
		}
	})
}

func FuzzParseSchedstat(f *testing.F) {
	f.Add([]byte("123456789 42 7\n"))
	f.Add([]byte("1 2"))
	f.Add([]byte("-1 2 3"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if ran, err := parseSchedstat(text); err == nil && ran < 0 {
			t.Errorf("%v", ran)
		}
	})
}

func TestReadCPUSumsThreads(t *testing.T) {
	root := t.TempDir()
	for thread, text := range map[string]string{"7": "1000 1 1\n", "8": "500 1 1\n"} {
		dir := filepath.Join(root, "7", "task", thread)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "schedstat"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadCPU(root, 7); err != nil || got != 1500*time.Nanosecond {
		t.Errorf("%v, %v: want 1.5µs", got, err)
	}
	if err := os.Remove(filepath.Join(root, "7", "task", "8", "schedstat")); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadCPU(root, 7); err == nil {
		t.Errorf("a kernel without schedstat: %v, want an error", got)
	}
}

// TestThisProcess reads the kernel that the test runs on.
func TestThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: there is no /proc")
	}
	pid := os.Getpid()
	before, err := ReadCPU("/proc", pid)
	if err != nil {
		t.Skipf("SKIPPED: the kernel does not account for threads: %v", err)
	}
	for sum, start := 0, time.Now(); time.Since(start) < 20*time.Millisecond; sum++ {
	}
	after, err := ReadCPU("/proc", pid)
	if err != nil || after <= before {
		t.Errorf("from %v to %v, %v: no time has passed", before, after, err)
	}
	m, err := ReadMemory("/proc", pid)
	if err != nil || m.RSS < m.PSS || m.Anonymous <= 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if n, err := CountDescriptors("/proc", pid); err != nil || n < 3 {
		t.Errorf("%d descriptors, %v", n, err)
	}
}

// TestReadsThisProcess compares what two files of the kernel say of one process.
func TestReadsThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: there is no /proc here")
	}
	rss, err := ReadRSS("/proc", os.Getpid())
	if err != nil || rss < 1<<20 || rss > 1<<32 {
		t.Errorf("RSS %d, %v", rss, err)
	}
	root := t.TempDir()
	for name, text := range map[string]string{"7/statm": "100\n", "8/statm": "100 -1 3\n", "pressure/cpu": "some avg10=1.00 total=1500000\nfull total=1\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range []int{7, 8, 9} {
		if rss, err := ReadRSS(root, pid); err == nil {
			t.Errorf("process %d: RSS %d, want an error", pid, rss)
		}
	}
	if waited, err := ReadProcessorPressure(root); err != nil || waited != 1500*time.Millisecond {
		t.Errorf("%v, %v", waited, err)
	}
	if _, err := ReadProcessorPressure(t.TempDir()); err == nil {
		t.Error("no such file: want an error")
	}
}
