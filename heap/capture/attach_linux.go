//go:build amd64 || arm64

package capture

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/memwarden/memwarden/heap/layout"
)

// attach is Attach.
func attach(ctx context.Context, pid int, o AttachOptions) (*Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("capture process %d: %w", pid, context.Cause(ctx))
	}
	if err := examine(pid); err != nil {
		return nil, fmt.Errorf("capture process %d: %w", pid, err)
	}
	i := &Image{PID: pid, life: newLife()}
	born := make(chan error)
	onThread(func() { i.keep(ctx, o, born) })
	if err := <-born; err != nil {
		_ = i.close(i.memory, i.binary) // the first error tells more
		return nil, fmt.Errorf("capture process %d: %w", pid, err)
	}
	return i, nil
}

// keep makes the image and stays on its thread, to which the traced threads belong, until it is to be given up.
func (i *Image) keep(ctx context.Context, o AttachOptions, born chan<- error) {
	defer close(i.gone)
	t := &tracer{pid: i.PID}
	defer i.release(t)

	headroom := newHeadroom(strconv.Itoa(i.PID), o.Headroom, o.Reserve, o.Written)
	child, err := i.freeze(ctx, t, o, headroom)
	var check func() error
	if child != nil {
		defer i.end(t, child)
		check = headroom.check()
	}
	born <- err
	if err == nil {
		i.keepUntil(ctx, positive(o.Deadline, DefaultDeadline), headroomInterval, check)
	}
}

// release lets the threads go, and keeps how long they stood.
func (i *Image) release(t *tracer) {
	t.release()
	if i.Pause == 0 {
		i.Pause = time.Since(t.began)
	}
}

// end kills the child and has it reaped.
func (i *Image) end(t *tracer, child *frozen) {
	t.kill(child)
	i.left = t.reap(child)
}

// freeze stops the process and forks it, or leaves it stopped. What is traced after an error is let go by the caller.
func (i *Image) freeze(ctx context.Context, t *tracer, o AttachOptions, headroom *headroom) (*frozen, error) {
	if err := checkBusy(i.PID, 0); err != nil {
		return nil, err
	}
	if !o.NoFork {
		i.Refused = headroom.checkBefore()
		if i.Refused != nil && (o.NoStop || !errors.Is(i.Refused, ErrHeadroom)) {
			return nil, i.Refused
		}
	}
	if err := t.stopAll(ctx); err != nil {
		return nil, err
	}
	if err := checkBusy(i.PID, 0); err != nil { // meanwhile: nobody else can make it fork now
		return nil, err
	}
	var threads []layout.Thread
	for _, thread := range t.tracees {
		if !thread.dead {
			threads = append(threads, threadOf(thread.tid, &thread.regs))
		}
	}
	if len(threads) == 0 {
		return nil, ErrGone
	}
	f, err := openFiles(i.PID)
	if err != nil {
		return nil, explainAttach(i.PID, err)
	}
	if i.Process, err = FromFiles(f.memory, f.binary, f.maps, threads); err != nil {
		f.close()
		return nil, err
	}
	if !o.NoFork && i.Refused == nil {
		child, err := t.fork(space{f.memory, i.Process.Mappings})
		if err == nil {
			f.close()
			i.release(t)
			return child, i.describe(child, threads)
		}
		i.Refused = refusal(err)
	}
	i.memory, i.binary = f.memory, f.binary
	_ = f.maps.Close() // opened for reading
	switch {
	case errors.Is(i.Refused, ErrGone):
		return nil, i.Refused
	case o.NoStop && o.NoFork:
		return nil, errors.New("neither fork nor stop is allowed")
	case o.NoStop:
		return nil, i.Refused
	}
	i.Method = MethodStop
	i.Process.Memory = lifeReader{&i.life, i.memory}
	return nil, nil
}

// describe opens the frozen child. Its mappings are its own: what is not inherited is not there.
func (i *Image) describe(child *frozen, threads []layout.Thread) error {
	f, err := openFiles(child.tid)
	if err != nil {
		return fmt.Errorf("frozen child: %w", err)
	}
	i.memory, i.binary = f.memory, f.binary
	i.Process, err = FromFiles(f.memory, f.binary, f.maps, threads)
	_ = f.maps.Close() // opened for reading
	if err != nil {
		return fmt.Errorf("frozen child: %w", err)
	}
	preferVictim(child.tid)
	i.Process.Memory = lifeReader{&i.life, i.memory}
	i.Method, i.ChildPID = MethodFork, child.tid
	return nil
}

// refusal says why a process was not made to fork.
func refusal(err error) error {
	if errors.Is(err, ErrGone) || errors.Is(err, errThreadGone) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return forkError(err)
}
