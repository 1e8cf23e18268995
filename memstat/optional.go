package memstat

import (
	"encoding/json"
	"fmt"
)

// Optional is a figure that the process, the kernel or the platform may not have. The zero value is absent: absent is
// not zero, and a JSON field tagged omitzero is left out.
type Optional[T int64 | float64] struct {
	value T
	known bool
}

// Known wraps a figure that was read.
func Known[T int64 | float64](value T) Optional[T] { return Optional[T]{value: value, known: true} }

// Get returns the figure, and whether there is one.
func (o Optional[T]) Get() (T, bool) { return o.value, o.known }

// Or returns the figure, or instead where it is absent.
func (o Optional[T]) Or(instead T) T {
	if o.known {
		return o.value
	}
	return instead
}

// IsZero reports whether the figure is absent; encoding/json asks it for omitzero.
func (o Optional[T]) IsZero() bool { return !o.known }

// String prints the figure, or "absent".
func (o Optional[T]) String() string {
	if !o.known {
		return "absent"
	}
	return fmt.Sprint(o.value)
}

// MarshalJSON writes the figure, or null where it is absent.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if !o.known {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// UnmarshalJSON reads a figure; null means absent.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*o = Optional[T]{}
		return nil
	}
	if err := json.Unmarshal(data, &o.value); err != nil {
		return err
	}
	o.known = true
	return nil
}
