package hugepage

import "syscall"

// available maps as much and gives it back: where the kernel refuses that, for strict overcommit or a limit of address
// space, the runtime would end the process.
func available(size int64) error {
	space, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return syscall.Munmap(space)
}

func advise(space []byte) error { return syscall.Madvise(space, syscall.MADV_HUGEPAGE) }

// populateWrite is MADV_POPULATE_WRITE, which package syscall does not name.
const populateWrite = 23

// populate faults pages in. It takes addresses, because nothing of the heap need lie there.
func populate(address, size uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, address, size, populateWrite); errno != 0 {
		return errno
	}
	return nil
}
