package layout

import "io"

// Process is a frozen process: nothing in it changes while it is read.
type Process struct {
	// Memory is read at addresses: offset 0x1000 is address 0x1000. A read of what is not mapped fails. It is safe for
	// concurrent use.
	Memory io.ReaderAt
	// Mappings are in the order of their addresses.
	Mappings []Mapping
	// Binary is the executable file, in ELF.
	Binary io.ReaderAt
	// Threads are the registers of threads that were running Go code; empty where no thread was.
	Threads []Thread
}

// Mapping is a line of /proc/PID/maps.
type Mapping struct {
	Start, End                  uint64 // addresses, the end excluded
	Readable, Writable, Execute bool
	Offset                      uint64 // in the file
	Inode                       uint64 // 0: anonymous
	Path                        string
}

// Thread holds the registers of a thread.
type Thread struct {
	TID        int
	PC, SP, FP uint64
	// Registers are the general-purpose registers, those above included, in no particular order.
	Registers []uint64
}
