package bounded

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkTopic publishes to 8 listeners, and waits until all have what they get.
func BenchmarkTopic(b *testing.B) {
	const listeners = 8
	for _, policy := range []struct {
		name     string
		overflow OverflowPolicy
	}{{"block", Block}, {"drop oldest", DropOldest}} {
		for _, queue := range []int{64, 1024} {
			b.Run(policy.name+"/queue="+strconv.Itoa(queue), func(b *testing.B) {
				topic, err := NewTopic[*int](TopicOptions{Name: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				var delivered [listeners]struct {
					atomic.Int64
					_ [56]byte // a cache line for each
				}
				for i := range listeners {
					_, err := topic.Subscribe(ListenerOptions{Queue: queue, Overflow: policy.overflow},
						func(context.Context, *int) { delivered[i].Add(1) })
					if err != nil {
						b.Fatal(err)
					}
				}
				event, ctx := new(int), b.Context()
				b.ReportAllocs()
				start := time.Now()
				for b.Loop() {
					if err := topic.Publish(ctx, event); err != nil {
						b.Fatal(err)
					}
				}
				if err := topic.Close(ctx); err != nil {
					b.Fatal(err)
				}
				elapsed := time.Since(start)
				var sum int64
				for i := range delivered {
					sum += delivered[i].Load()
				}
				b.ReportMetric(float64(sum)/elapsed.Seconds(), "deliveries/s")
				b.ReportMetric(float64(sum)/float64(b.N*listeners), "delivered")
			})
		}
	}
}
