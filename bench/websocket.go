package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/gobench"
)

// websocketDir has the hub, as seen from this module's directory. It is built in its own workspace.
const websocketDir = "../contrib/websocket"

// kibibytes are of what is too small for MiB.
var kibibytes figure.Unit = func(v float64) string { return fmt.Sprintf("%.2f KiB", v/(1<<10)) }

// measureWebSocket runs the hub's benchmark, whose clients are in another process than the hub.
func measureWebSocket(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	w.note("WebSocket: the hub is in a process of its own; resident memory after a collection that gives all back, with 5,100 connections " +
		"less that with 100, each of which has sent a message of 1,000 bytes and got one; buffers of the kernel's are not part of it")
	results, err := gobench.Run(ctx, websocketDir, []string{"."},
		"-bench", "^BenchmarkIdleConnection$", "-benchtime", "1x", "-count", strconv.Itoa(p.parts.connections))
	if err != nil {
		return nil, err
	}
	values := func(unit string) []float64 { return gobench.Values(results, "BenchmarkIdleConnection", unit) }
	return []figure.Figure{
		{Name: "resident memory of an idle connection", Unit: kibibytes, Goal: figure.AtMost(12 << 10), Values: values("RSS-B/conn")},
		{Name: "… of which heap and stacks of the Go runtime's", Unit: kibibytes, Values: values("go-B/conn")},
	}, nil
}
