//go:build amd64 || arm64

package capture

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const collapseTested = 64 << 20

// region is memory of its own of the test, in small pages: the kernel gives huge ones to those who ask, as a rule.
func region(t *testing.T) []byte {
	t.Helper()
	if text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil || !strings.Contains(string(text), "[madvise]") {
		t.Skipf("NOT TESTED: the kernel has no transparent huge pages, or gives them unasked: %s, %v", text, err)
	}
	memory, err := syscall.Mmap(-1, 0, collapseTested, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(memory) })
	return memory
}

// smaps sums up fields of all mappings of this process, in bytes.
func smaps(t *testing.T, field string) (bytes int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kB, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			bytes += kB << 10
		}
	}
	return bytes
}

// TestCollapse: what is in use is in huge pages afterwards, takes no more memory, and has what was written to it, by those
// too who wrote meanwhile.
func TestCollapse(t *testing.T) {
	memory := region(t)
	page := os.Getpagesize()
	for i := 0; i < len(memory); i += page {
		memory[i] = byte(i / page)
	}
	resident, huge := smaps(t, "Rss"), smaps(t, "AnonHugePages")
	stop := make(chan struct{})
	var writing sync.WaitGroup
	rounds := 0
	writing.Go(func() {
		for ; ; rounds++ {
			for i := 1; i < len(memory); i += page {
				memory[i]++
			}
			select {
			case <-stop:
				rounds++
				return
			default:
			}
		}
	})
	done, err := Collapse(t.Context())
	close(stop)
	writing.Wait()
	if errors.Is(err, syscall.EINVAL) {
		t.Skipf("NOT TESTED: the kernel cannot collapse pages (Linux 6.1): %v", err)
	}
	const least = collapseTested / 4 * 3 // the ends belong to no huge page, and the kernel may be busy with others
	if err != nil || done.HugeBytes < least {
		t.Fatalf("%+v, %v", done, err)
	}
	if grown := smaps(t, "AnonHugePages") - huge; grown < least {
		t.Errorf("%d bytes more are in huge pages, want %d", grown, least)
	}
	if grown := smaps(t, "Rss") - resident; grown > 4<<20 {
		t.Errorf("%d bytes more are resident", grown)
	}
	for i := 0; i < len(memory); i += page {
		if memory[i] != byte(i/page) || memory[i+1] != byte(rounds) {
			t.Fatalf("page %d has %d and %d, want %d and %d", i/page, memory[i], memory[i+1], byte(i/page), byte(rounds))
		}
	}
	again, err := Collapse(t.Context())
	if err != nil || again.HugeBytes < least {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// TestCollapseLeavesWhatIsNotInUse: every other huge page lacks one of its small pages, and stays as it is.
func TestCollapseLeavesWhatIsNotInUse(t *testing.T) {
	memory := region(t)
	page := os.Getpagesize()
	for i := 0; i < len(memory); i += page {
		if i%(1<<20) != 0 {
			memory[i] = 1
		}
	}
	resident, huge := smaps(t, "Rss"), smaps(t, "AnonHugePages")
	done, err := Collapse(t.Context())
	if err != nil && !errors.Is(err, syscall.EINVAL) || done.SmallBytes < collapseTested-8<<20 {
		t.Errorf("%+v, %v", done, err)
	}
	// The heap of the test itself is looked at too.
	if grown := smaps(t, "AnonHugePages") - huge; grown > collapseTested/4 {
		t.Errorf("%d bytes more are in huge pages", grown)
	}
	if grown := smaps(t, "Rss") - resident; grown > 4<<20 {
		t.Errorf("%d bytes more are resident", grown)
	}
}

func TestCollapseEnds(t *testing.T) {
	memory := region(t)
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if done, err := Collapse(ctx); err != nil || done.HugeBytes != 0 || done.SmallBytes != 0 {
		t.Errorf("after the end: %+v, %v", done, err)
	}
	opened := descriptors(t, os.Getpid())
	if _, err := Collapse(t.Context()); err != nil && !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if left := descriptors(t, os.Getpid()); left > opened {
		t.Errorf("%d descriptors are open, %d before", left, opened)
	}
}

// TestSettle: what both sides have of a huge page after a fork is let go of, rather than kept until memory is short.
func TestSettle(t *testing.T) {
	memory := region(t)
	page := os.Getpagesize()
	for i := 0; i < len(memory); i += page {
		memory[i] = byte(i / page)
	}
	done, err := Collapse(t.Context())
	if errors.Is(err, syscall.EINVAL) {
		t.Skipf("NOT TESTED: the kernel cannot collapse pages (Linux 6.1): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := mustSelf(t, Options{})
	for i := 0; i < len(memory); i += 2 * page { // every other page is copied
		memory[i+1] = 1
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	const half = collapseTested / (2 << 20) / 2
	left := partlyMapped(t)
	if left < half {
		t.Errorf("%d huge pages of the machine are kept for a part of them, want %d at least", left, half)
	}
	if err := done.Settle(); err != nil {
		t.Fatal(err)
	}
	if now := partlyMapped(t); now > left-half {
		t.Errorf("%d huge pages are kept for a part of them, %d before", now, left)
	}
	for i := 0; i < len(memory); i += page {
		if want := byte(1 - i/page%2); memory[i] != byte(i/page) || memory[i+1] != want {
			t.Fatalf("page %d has %d and %d, want %d and %d", i/page, memory[i], memory[i+1], byte(i/page), want)
		}
	}
}

// partlyMapped is how many huge pages of the machine are kept whole although nobody has some of their parts any more.
func partlyMapped(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/stats/nr_anon_partially_mapped")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("NOT TESTED: the kernel does not count huge pages of which a part is left (Linux 6.13): %v", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
