// Command heapstages takes a heap snapshot of a process, or reads one from a file, analyses it, and prints what each
// stage took as JSON (see package stages).
//
//	heapstages [-pid N] [-sample N] [-cpuprofile FILE] FILE
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/bench/internal/stages"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() (err error) {
	o := stages.Options{Now: time.Now}
	var profile string
	flag.IntVar(&o.PID, "pid", 0, "capture this process; 0: the file is there")
	flag.IntVar(&o.Sample, "sample", 0, "hold the inference of types against so many objects whose type is known")
	flag.StringVar(&profile, "cpuprofile", "", "write a profile of the processor's time to this `file`")
	flag.Parse()
	if flag.NArg() != 1 {
		return errors.New("usage: heapstages [flags] FILE")
	}
	o.File = flag.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // what cannot be written, StopCPUProfile does not tell either
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	report, err := stages.Run(ctx, o)
	if err != nil {
		return err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(text))
	return err
}
