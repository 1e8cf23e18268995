package memstat_test

import (
	"fmt"
	"time"

	"github.com/memwarden/memwarden/memstat"
)

func Example() {
	sampler, err := memstat.New(memstat.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sampler.Close()
	var sample memstat.Sample
	sampler.Read(&sample, time.Now())
	used, ok := sample.Go.UsedBytes.Get()
	fmt.Println(ok, used > 0)
	// Output: true true
}
