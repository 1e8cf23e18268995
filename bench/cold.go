package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/service"
)

// measureCold checks the last commit out and does what the quick start says, with no module fetched and nothing compiled
// before; the Go toolchain is there.
func measureCold(ctx context.Context, _ plan, w workshop) (figures []figure.Figure, err error) {
	checkout, caches := filepath.Join(w.dir, "checkout"), filepath.Join(w.dir, "caches")
	environment := append(os.Environ(),
		"GOMODCACHE="+filepath.Join(caches, "modules"), "GOCACHE="+filepath.Join(caches, "builds"))
	command := func(ctx context.Context, name string, arguments ...string) error {
		c := exec.CommandContext(ctx, name, arguments...)
		c.Env = environment
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %v: %w\n%s", name, arguments, err, out)
		}
		return nil
	}
	// The module cache is read-only, which os.RemoveAll does not get past.
	defer func() { err = errors.Join(err, command(context.WithoutCancel(ctx), "go", "clean", "-modcache")) }()
	began := time.Now()
	if err := command(ctx, "git", "clone", "--quiet", "--no-hardlinks", libraryDir, checkout); err != nil {
		return nil, err
	}
	if err := command(ctx, "make", "-C", checkout, "build"); err != nil {
		return nil, err
	}
	file := filepath.Join(checkout, "bin", "memwarden")
	room, err := w.room()
	if err != nil {
		return nil, err
	}
	s, err := service.Start(ctx, file, room)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	size, err := os.Stat(file)
	if err = errors.Join(err, s.Stop()); err != nil {
		return nil, err
	}
	return []figure.Figure{
		{Name: "clone, modules, build, start, first healthy answer", Unit: figure.Seconds, Goal: figure.AtMost(120), Values: []float64{took.Seconds()}},
		{Name: "static, stripped program", Unit: figure.Bytes, Goal: figure.AtMost(35_000_000), Values: []float64{float64(size.Size())}},
	}, nil
}
