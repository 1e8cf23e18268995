package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// describeMachine says on what the figures were measured. What cannot be read is left out.
func describeMachine(root string) string {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return ""
		}
		return string(text)
	}
	var text strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&text, "- %s: %s\n", name, value)
		}
	}
	processor := field(read("proc/cpuinfo"), "model name")
	line("Machine", strings.TrimPrefix(fmt.Sprintf("%s, %d processors", processor, runtime.NumCPU()), ", "))
	line("Memory", field(read("proc/meminfo"), "MemTotal"))
	line("Kernel", strings.Join(strings.Fields(read("proc/sys/kernel/ostype")+read("proc/sys/kernel/osrelease")), " "))
	line("Transparent huge pages", chosen(read("sys/kernel/mm/transparent_hugepage/enabled")))
	line("Go", runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	line("Load at the start (1, 5, 15 minutes)", loadAverage(root))
	return text.String()
}

// field finds the first value of a name in lines of "name: value".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// chosen finds what stands in brackets among the choices of a file of the kernel.
func chosen(text string) string {
	_, text, _ = strings.Cut(text, "[")
	text, _, _ = strings.Cut(text, "]")
	return text
}

// loadAverage is how many tasks ran or waited for a processor on average: more than there are processors, and the
// figures suffer from others.
func loadAverage(root string) string {
	text, err := os.ReadFile(filepath.Join(root, "proc/loadavg"))
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], ", ")
}
