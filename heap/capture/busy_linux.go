//go:build amd64 || arm64

package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// checkBusy refuses where a process has a frozen child already, own excepted: of an Attach, or of its own Self. One that is
// dead does not count: it is left behind where the capturing process was killed.
//
// Of two captures at once the one that forks later finds the child of the other, and gives up. Attach looks while the
// process stands still, which it does for one of them at a time, and Self after its fork.
func checkBusy(pid, own int) error {
	found, err := childrenOf(pid)
	if err != nil {
		return err
	}
	program, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return explainAttach(pid, err)
	}
	for _, child := range found {
		if child != own && isFrozen(child, program) {
			return fmt.Errorf("%w: process %d is its frozen child: wait until that capture is over", ErrBusy, child)
		}
	}
	return nil
}

// isFrozen reports whether a child is one that a capture made: it sends no signal when it ends, and has started no other
// program. What can no longer be read has ended.
func isFrozen(child int, program string) bool {
	dir := "/proc/" + strconv.Itoa(child)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return false
	}
	if state, signal := exitSignal(stat); signal != 0 || state == 'Z' || state == 'X' {
		return false
	}
	runs, err := os.Readlink(dir + "/exe")
	return err == nil && runs == program
}

// exitSignal returns the state of a process, and the signal that it sends when it ends, of the text of /proc/PID/stat;
// where that is none, -1.
func exitSignal(stat []byte) (state byte, signal int) {
	const first, stateAt, signalAt = 3, 3, 38 // as proc(5) numbers the fields; the name before them may have blanks
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= signalAt-first {
		return 0, -1
	}
	signal, err := strconv.Atoi(string(fields[signalAt-first]))
	if err != nil {
		return 0, -1
	}
	return fields[stateAt-first][0], signal
}

// childrenOf lists the children of all threads of a process, zombies included.
func childrenOf(pid int) ([]int, error) {
	tids, err := threadIDs(pid)
	if err != nil {
		return nil, err
	}
	var found []int
	for _, tid := range tids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, tid))
		if errors.Is(err, fs.ErrNotExist) && !threadEnded(pid, tid) {
			return childrenByParent(pid) // a kernel without CONFIG_PROC_CHILDREN
		}
		for field := range bytes.FieldsSeq(text) {
			if child, err := strconv.Atoi(string(field)); err == nil {
				found = append(found, child)
			}
		}
	}
	return found, nil
}

// childrenByParent looks at every process for those whose parent is one.
func childrenByParent(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []int
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err == nil && statusOf(child, child, "PPid") == strconv.Itoa(pid) {
			found = append(found, child)
		}
	}
	return found, nil
}
