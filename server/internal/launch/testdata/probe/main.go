// Command probe is a program for a launcher to start: it tells what it was given and dies in various ways.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
)

func main() {
	switch os.Args[1] {
	case "settings":
		fmt.Println(debug.SetMemoryLimit(-1), debug.SetGCPercent(100), runtime.GOMAXPROCS(0))
		for _, name := range os.Args[2:] {
			fmt.Printf("%s=%s\n", name, os.Getenv(name))
		}
	case "exit":
		code, err := strconv.Atoi(os.Args[2])
		if err != nil {
			panic(err)
		}
		os.Exit(code)
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		fmt.Fprintln(os.Stderr, "copied", err)
	case "trap":
		trap()
	case "hog":
		hog()
	}
}

// trap prints every signal, and ends at SIGTERM.
func trap() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals)
	fmt.Println("ready", os.Getpid())
	for s := range signals {
		switch s {
		case syscall.SIGURG, syscall.SIGCHLD, syscall.SIGPIPE:
			continue // the runtime's own, among others
		}
		fmt.Println(s)
		if s == syscall.SIGTERM {
			return
		}
	}
}

// hog takes memory until it is killed, or has far more than any test allows.
func hog() {
	var kept [][]byte
	for range 1 << 10 {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4 << 10 {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	fmt.Println("not killed", len(kept))
}
