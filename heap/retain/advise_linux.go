package retain

import "syscall"

// advise marks memory for huge pages (MADV_HUGEPAGE). Where the kernel has none it stays as it is.
func advise(space []byte) { _ = syscall.Madvise(space, syscall.MADV_HUGEPAGE) }
