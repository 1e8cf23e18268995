package dominator

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkCompute: 10 million nodes and 12.5 million edges, in shapes that heaps have.
func BenchmarkCompute(b *testing.B) {
	const nodes = 10_000_000
	for _, shape := range []struct {
		name  string
		build func(nodes uint32) (starts, targets []uint32)
	}{{"sessions", sessions}, {"random", random}, {"list", func(nodes uint32) (_, _ []uint32) { return list(nodes, false) }}} {
		b.Run(shape.name, func(b *testing.B) {
			starts, targets := shape.build(nodes)
			b.ReportMetric(float64(len(targets)), "edges")
			b.ResetTimer()
			for b.Loop() {
				if _, err := Compute(b.Context(), starts, targets, 0, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// sessions is a map of groups of eight sessions, each of ten objects: the session leads to its user, name, tags and
// parts, the user back to one of a few shared tenants and to the session. Objects lie in blocks by their sizes.
func sessions(nodes uint32) (starts, targets []uint32) {
	count := nodes / 10
	starts, targets = make([]uint32, nodes+1), make([]uint32, 0, nodes/4*5)
	const first = 1000 // the root and the tenants
	member := func(session, which uint32) uint32 {
		return min(first+which*((nodes-first)/10)+session, nodes-1)
	}
	sessionsPerBlock := (nodes - first) / 10
	for node := range nodes {
		starts[node] = uint32(len(targets))
		switch which, session := (node-first)/sessionsPerBlock, (node-first)%sessionsPerBlock; {
		case node == 0:
			for session := range min(count, sessionsPerBlock) {
				targets = append(targets, member(session*7919%sessionsPerBlock, 0))
			}
		case node < first || which >= 10:
		case which == 0:
			targets = append(targets, member(session, 1), member(session, 2), member(session, 3), member(session, 4))
		case which == 1:
			targets = append(targets, member(session, 0), 1+session%(first-1), member(session, 5))
		case which == 4:
			targets = append(targets, member(session, 6), member(session, 7), member(session, 8), member(session, 9))
		}
	}
	starts[nodes] = uint32(len(targets))
	return starts, targets
}

// random is a tree of random parents within a window, and a quarter more edges between any two nodes.
func random(nodes uint32) (starts, targets []uint32) {
	random := rand.New(rand.NewPCG(1, 2))
	degree := make([]uint32, nodes+1)
	pairs := make([][2]uint32, 0, nodes/4*5)
	for node := uint32(1); node < nodes; node++ {
		pairs = append(pairs, [2]uint32{node - 1 - random.Uint32N(min(node, 100_000)), node})
	}
	for range nodes / 4 {
		pairs = append(pairs, [2]uint32{random.Uint32N(nodes), random.Uint32N(nodes)})
	}
	for _, pair := range pairs {
		degree[pair[0]+1]++
	}
	for i := range nodes {
		degree[i+1] += degree[i]
	}
	targets = make([]uint32, len(pairs))
	next := append([]uint32(nil), degree...)
	for _, pair := range pairs {
		targets[next[pair[0]]] = pair[1]
		next[pair[0]]++
	}
	return degree, targets
}
