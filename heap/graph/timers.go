package graph

import "github.com/memwarden/memwarden/heap/snapshot"

// cutTimers turns the pointers of timers back to the heap of timers that they are in, which is part of a runtime.p, into
// pointers to themselves. Such a pointer keeps nothing: the runtime holds each runtime.p anyway. But along it whoever has a
// timer would seem to hold all other timers, and what they hold.
func (g *Graph) cutTimers() {
	timers, processors := make([]bool, g.Types()), make([]bool, g.Types())
	found := false
	for id := range timers {
		switch g.TypeName(snapshot.TypeID(id)) {
		case "runtime.timeTimer", "runtime.timer":
			timers[id] = true
		case "runtime.p":
			processors[id], found = true, true
		}
	}
	if !found {
		return
	}
	for object := range g.objects {
		if id, _ := g.Type(object); !timers[id] {
			continue
		}
		for e := g.Starts[object]; e < g.Starts[object+1]; e++ {
			if target := g.Targets[e]; target < g.objects {
				if id, _ := g.Type(target); processors[id] {
					g.Targets[e] = object
				}
			}
		}
	}
}
