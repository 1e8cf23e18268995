package main

import (
	"context"
	"os"
	"sync"
	"syscall"

	"github.com/memwarden/memwarden"
)

// heldByKernel are leaks of what the kernel keeps for the process.
func heldByKernel() []exhibit {
	return []exhibit{
		{name: "descriptors", run: openForever, want: []leak{{kind: "descriptors", says: "Open descriptors rose from", perSecond: 4}}},
		{name: "mappings", run: mapForever, want: []leak{{kind: "native", says: "Memory outside of the Go runtime's rose from", perSecond: 1 << 20}}},
	}
}

// logs are the files of tenants; that of one who has gone stays open.
var logs struct {
	sync.Mutex
	open []*os.File
}

func openForever(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 4, func(int) error {
		file, err := os.Open(os.DevNull)
		logs.Lock()
		logs.open = append(logs.open, file)
		logs.Unlock()
		return err
	})
}

// mapForever maps memory and never unmaps it.
func mapForever(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 4, func(int) error {
		data, err := syscall.Mmap(-1, 0, 256<<10, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		for i := 0; i < len(data); i += 4096 {
			data[i] = 1
		}
		return err
	})
}
