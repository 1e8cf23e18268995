package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/memwarden/memwarden"
)

// heldByRuntime are leaks of what the runtime or the package sync keeps for the program.
func heldByRuntime() []exhibit {
	return []exhibit{
		{name: "timer_heap", run: expireTomorrow, want: []leak{{
			kind: "heap", typ: "runtime.timeTimer", path: "runtime.allp[…].timers[…]", function: "main.expireTomorrow", says: "main.visit", perSecond: 100 * 4300,
		}}},
		{name: "finalizer_cycle", run: openHandles, want: []leak{{
			kind: "heap", typ: "main.fileHandle", path: "finalizer", function: "main.openHandle", says: "finalizer", perSecond: 150 * 4900, // the runtime counts twice what has a finalizer and is reached besides
		}}},
		{name: "pool_of_huge_buffers", run: renderPages, want: []leak{{
			kind: "heap", path: "main.buffers", function: "main.render", says: "main.buffers", perSecond: 3 << 18,
		}}},
	}
}

// visit is to be forgotten in the end.
type visit struct{ pages [4096]byte }

func newVisit() *visit { return &visit{} }

func (v *visit) expire() { clear(v.pages[:]) }

// expireTomorrow has each visit forgotten after a day, also those that have ended long before: nobody stops the timers.
func expireTomorrow(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 100, func(int) error {
		v := newVisit()
		time.AfterFunc(24*time.Hour, v.expire)
		return nil
	})
}

// fileHandle and its owner lead to each other, and have a finalizer: the runtime never frees such a cycle.
type fileHandle struct {
	owner  *handleOwner
	buffer [4096]byte
}

type handleOwner struct{ handle *fileHandle }

func (h *fileHandle) close() { h.owner = nil }

func openHandle() {
	h := &fileHandle{}
	h.owner = &handleOwner{h}
	runtime.SetFinalizer(h, (*fileHandle).close)
}

func openHandles(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 100, func(int) error {
		openHandle()
		return nil
	})
}

// buffers are reused from page to page, and keep the size of the largest page that each was ever used for.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// render writes a page into a buffer of the pool. One page of many is huge.
func render(huge bool) *bytes.Buffer {
	buffer := buffers.Get().(*bytes.Buffer)
	size := 1024
	if huge {
		size = 1 << 20
	}
	buffer.Write(make([]byte, size))
	return buffer
}

// renderPages renders many pages at once and sends them, so that the pool holds very many buffers; more and more of them
// become huge.
func renderPages(ctx context.Context, _ *memwarden.Warden) error {
	const together = 200
	random := rand.New(rand.NewPCG(1, 2))
	return every(ctx, 1, func(int) error {
		huge, pages := random.IntN(together), make([]*bytes.Buffer, together)
		for i := range pages {
			pages[i] = render(i == huge)
		}
		for _, page := range pages {
			page.Reset() // it was sent
			buffers.Put(page)
		}
		return nil
	})
}
