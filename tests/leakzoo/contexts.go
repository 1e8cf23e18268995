package main

import (
	"context"
	"time"

	"github.com/memwarden/memwarden"
)

// heldByContexts are leaks that a context leads to.
func heldByContexts() []exhibit {
	return []exhibit{
		{name: "context_chain", run: wrapForever, want: []leak{{
			kind: "heap", typ: "context.valueCtx", path: "main.wrapForever", function: "main.(*worker).step", says: "context.valueCtx", perSecond: 100 * 4300,
		}}},
		{name: "context_children", run: deriveForever, want: []leak{{
			kind: "heap", typ: "context.timerCtx", path: "main.background", function: "main.handle", says: "main.background", perSecond: 100 * 4300,
		}}},
	}
}

// job is what a context tells of the work it is for.
type job struct{ parameters [4096]byte }

type jobKey struct{}

// worker goes from job to job with one context, of which each is derived from the one before.
type worker struct{ ctx context.Context }

func (w *worker) step() {
	w.ctx = context.WithValue(w.ctx, jobKey{}, &job{})
}

func wrapForever(ctx context.Context, _ *memwarden.Warden) error {
	w := &worker{context.WithoutCancel(ctx)}
	return every(ctx, 100, func(int) error {
		w.step()
		return nil
	})
}

// background is the context of all that requests leave to be done; it is never cancelled.
var background, stopBackground = context.WithCancel(context.Background())

// handle begins something for a request that has its own deadline, and does not say when it is done.
func handle() {
	ctx, cancel := context.WithTimeout(background, 24*time.Hour)
	_ = cancel // the mistake
	_ = context.WithValue(ctx, jobKey{}, &job{})
	ctx, cancel = context.WithCancel(context.WithValue(ctx, jobKey{}, &job{}))
	_, _ = ctx, cancel
}

func deriveForever(ctx context.Context, _ *memwarden.Warden) error {
	defer stopBackground()
	return every(ctx, 100, func(int) error {
		handle()
		return nil
	})
}
