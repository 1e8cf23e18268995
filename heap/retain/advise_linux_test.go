package retain

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// TestAddressSpaceIsMarked looks for the mark that the kernel shows, "hg", in a mapping of the heap.
func TestAddressSpaceIsMarked(t *testing.T) {
	defer Prepare(10_000_000)()
	array := make([]uint32, 20<<20)
	for i := range array {
		array[i] = 1 // else it has no pages yet
	}
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	marked := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:")
		marked = marked || ok && strings.Contains(flags+" ", " hg ")
	}
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil {
		t.Skip("NOT TESTED: the kernel has no transparent huge pages: ", err)
	}
	if !marked {
		t.Error("no mapping is marked for huge pages")
	}
	if array[len(array)/2] != 1 {
		t.Error("the array is not what was written")
	}
}
