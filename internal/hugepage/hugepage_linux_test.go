package hugepage

import (
	"context"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestPrefer looks for the mark that the kernel shows, "hg", in the mappings of the heap, and sees that the space takes
// no memory before it is used.
func TestPrefer(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil {
		t.Skip("NOT TESTED: the kernel has no transparent huge pages: ", err)
	}
	const size = 256 << 20
	if _, err := Prefer(size); err != nil {
		t.Fatal(err)
	}
	if space, resident := marked(t); space < size || resident > size/4 {
		t.Errorf("%d MiB are marked, want %d, of which %d MiB are resident, want a quarter at most", space>>20, size>>20, resident>>20)
	}
	array := make([]uint32, size/8)
	for i := range array {
		array[i] = 1 // else it has no pages yet
	}
	if _, resident := marked(t); resident < size/4 {
		t.Errorf("an array of %d MiB lies elsewhere: %d MiB of what is marked are resident", size>>21, resident>>20)
	}
	if array[len(array)/2] != 1 {
		t.Error("the array is not what was written")
	}
}

// TestPopulate: what is asked for has memory before anybody writes to it, nothing that lies there changes, and nothing is
// touched after the context's end.
func TestPopulate(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil {
		t.Skip("NOT TESTED: the kernel has no transparent huge pages: ", err)
	}
	const size = 256 << 20
	space, err := Prefer(size)
	if err != nil {
		t.Fatal(err)
	}
	array := make([]byte, size/2)
	for i := 0; i < len(array); i += 4096 {
		array[i] = byte(i >> 12)
	}
	_, before := marked(t)
	ended, end := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	end(gone)
	if err := space.Populate(ended, size); err != gone {
		t.Errorf("after the end: %v", err)
	}
	if _, resident := marked(t); resident >= before+size/4 {
		t.Errorf("after the end %d MiB are resident; before, %d MiB", resident>>20, before>>20)
	}
	if err := space.Populate(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	if _, resident := marked(t); resident < size || resident < before+size/4 {
		t.Errorf("%d MiB are resident, %d MiB before; %d MiB were asked for", resident>>20, before>>20, size>>20)
	}
	for i := 0; i < len(array); i += 4096 {
		if array[i] != byte(i>>12) {
			t.Fatalf("byte %d has become %d", i, array[i])
		}
	}
	if err := space.Populate(t.Context(), math.MaxInt64); err != nil {
		t.Errorf("more than there is: %v", err)
	}
	if err := (Space{}).Populate(t.Context(), size); err != nil {
		t.Errorf("no space: %v", err)
	}
}

// TestNoSuchSpace: what the kernel would not map is refused, where the runtime would end the process.
func TestNoSuchSpace(t *testing.T) {
	for _, size := range []int64{1 << 47, math.MaxInt64, 0, -1} {
		if _, err := Prefer(size); err == nil {
			t.Errorf("%d bytes of address space were had", size)
		}
	}
}

// marked is how many bytes of address space are marked, and how many of them have memory.
func marked(t *testing.T) (space, resident int64) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	var size, rss int64
	for line := range strings.Lines(string(data)) {
		field, value, _ := strings.Cut(line, ":")
		switch field {
		case "Size":
			size = kibibytes(t, value)
		case "Rss":
			rss = kibibytes(t, value)
		case "VmFlags":
			if strings.Contains(value, " hg ") {
				space, resident = space+size, resident+rss
			}
		}
	}
	return space, resident
}

// kibibytes reads a figure such as "1024 kB".
func kibibytes(t *testing.T, text string) int64 {
	t.Helper()
	number, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return number << 10
}
