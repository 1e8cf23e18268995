// Command wazero compiles a module for each request, in a runtime that it closes: functions and the module that they are
// of pointed at each other, and the module had a finalizer, so that neither was ever collected.
package main

import (
	"context"
	"log"
	"time"

	"github.com/tetratelabs/wazero"

	_ "github.com/memwarden/memwarden/auto"
)

// module is (module (func (export "f") (result i32) i32.const 42)).
var module = []byte{
	0, 'a', 's', 'm', 1, 0, 0, 0, // magic, version
	1, 5, 1, 0x60, 0, 1, 0x7f, // types: func() i32
	3, 2, 1, 0, // functions: one, of type 0
	7, 5, 1, 1, 'f', 0, 0, // exports: f is function 0
	10, 6, 1, 4, 0, 0x41, 42, 0x0b, // code: no locals, i32.const 42, end
}

// answer runs the module.
func answer(ctx context.Context) error {
	runtime := wazero.NewRuntime(ctx)
	compiled, err := runtime.CompileModule(ctx, module)
	if err != nil {
		return err
	}
	instance, err := runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig())
	if err != nil {
		return err
	}
	if _, err := instance.ExportedFunction("f").Call(ctx); err != nil {
		return err
	}
	return runtime.Close(ctx)
}

func main() {
	for next := time.Now(); ; next = next.Add(10 * time.Millisecond) {
		time.Sleep(time.Until(next)) // none if it is late
		if err := answer(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
}
