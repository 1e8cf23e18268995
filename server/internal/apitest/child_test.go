package apitest

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/internal/testprogram"
)

// childMark in the environment makes the test program a process that waits for the end of its input.
const childMark = "APITEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	// Media types that the validator does not know by itself.
	openapi3filter.RegisterBodyDecoder("application/health+json", openapi3filter.JSONBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	removeAll := func(code int) {
		testprogram.RemoveAll()
		os.Exit(code)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(removeAll), goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")) // a connection that is being closed
}

// child is another process.
type child struct {
	command *exec.Cmd
	input   io.Closer
}

func startChild(t *testing.T) *child {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{command: exec.CommandContext(t.Context(), program)}
	c.command.Env = append(os.Environ(), childMark+"=1")
	if c.input, err = c.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *child) pid() int { return c.command.Process.Pid }

// end lets the process end and waits for it.
func (c *child) end(t *testing.T) {
	t.Helper()
	if err := c.input.Close(); err != nil {
		t.Error(err)
	}
	if err := c.command.Wait(); err != nil {
		t.Error(err)
	}
}
