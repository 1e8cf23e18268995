// Command ants has a pool of goroutines for each piece of work, and releases it afterwards: the pool's own goroutine,
// which tells it the time, went on.
package main

import (
	"log"
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"

	_ "github.com/memwarden/memwarden/auto"
)

func main() {
	for next := time.Now(); ; next = next.Add(100 * time.Millisecond) {
		time.Sleep(time.Until(next)) // none if it is late
		pool, err := ants.NewPool(4)
		if err != nil {
			log.Fatal(err)
		}
		var done sync.WaitGroup
		for range 4 {
			done.Add(1)
			if err := pool.Submit(done.Done); err != nil {
				log.Fatal(err)
			}
		}
		done.Wait()
		pool.Release()
	}
}
