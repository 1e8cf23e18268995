package memstat

import (
	"encoding/json"
	"fmt"
	"math"
)

// Optional is a figure that the process, the kernel or the platform may not have. The zero value is absent: absent is
// not zero, and a JSON field tagged omitzero is left out. It takes no more room than the figure, as there are samples all
// the time: the least int64, and one of the values that are not a number, stand for absent.
type Optional[T int64 | float64] struct{ bits uint64 } // of the figure, see encode; 0: absent

// Bits of figures that nobody has: with them turned over, what is absent is 0.
const (
	leastInt = 1 << 63
	noNumber = math.MaxUint64
)

// encode is never 0, but of the figures that stand for absent.
func encode[T int64 | float64](value T) uint64 {
	switch v := any(value).(type) {
	case int64:
		return uint64(v) ^ leastInt
	case float64:
		return math.Float64bits(v) ^ noNumber
	}
	panic("unreachable: there is no other type")
}

func decode[T int64 | float64](bits uint64) (value T) {
	switch v := any(&value).(type) {
	case *int64:
		*v = int64(bits ^ leastInt)
	case *float64:
		*v = math.Float64frombits(bits ^ noNumber)
	}
	return value
}

// Known wraps a figure that was read.
func Known[T int64 | float64](value T) Optional[T] { return Optional[T]{encode(value)} }

// Get returns the figure, and whether there is one.
func (o Optional[T]) Get() (value T, known bool) {
	if o.bits == 0 {
		return 0, false
	}
	return decode[T](o.bits), true
}

// Or returns the figure, or instead where it is absent.
func (o Optional[T]) Or(instead T) T {
	if value, known := o.Get(); known {
		return value
	}
	return instead
}

// IsZero reports whether the figure is absent; encoding/json asks it for omitzero.
func (o Optional[T]) IsZero() bool { return o.bits == 0 }

// String prints the figure, or "absent".
func (o Optional[T]) String() string {
	value, known := o.Get()
	if !known {
		return "absent"
	}
	return fmt.Sprint(value)
}

// MarshalJSON writes the figure, or null where it is absent.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	value, known := o.Get()
	if !known {
		return []byte("null"), nil
	}
	return json.Marshal(value)
}

// UnmarshalJSON reads a figure; null means absent.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*o = Optional[T]{}
		return nil
	}
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	*o = Known(value)
	return nil
}
