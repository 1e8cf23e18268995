package bounded

import "reflect"

// maxWeighed is how many parts of a value the default weigher looks at, and maxDepth how far it follows pointers.
const (
	maxWeighed = 256
	maxDepth   = 16
	wordBytes  = 8
)

// weigherOf returns the default weigher of a type of key and a type of value.
func weigherOf[K comparable, V any]() func(K, V) int64 {
	key, value := weigh1[K](), weigh1[V]()
	return func(k K, v V) int64 { return key(k) + value(v) }
}

// weigh1 returns the weigher of a type: what its values hold beyond their own words.
func weigh1[T any]() func(T) int64 {
	var zero T
	switch any(&zero).(type) {
	case *string:
		return func(v T) int64 { return int64(len(any(v).(string))) }
	case *[]byte:
		return func(v T) int64 { return int64(cap(any(v).([]byte))) }
	}
	if flat(reflect.TypeFor[T]()) {
		return func(T) int64 { return 0 }
	}
	return func(v T) int64 {
		s := scales{left: maxWeighed}
		return s.weigh(reflect.ValueOf(&v).Elem(), 0)
	}
}

// flat reports whether values of a type hold nothing beyond their own words.
func flat(t reflect.Type) bool {
	return consists(t, func(k reflect.Kind) bool {
		return numeric(k) || k == reflect.Chan || k == reflect.Func || k == reflect.UnsafePointer
	})
}

// pointerFree reports whether nothing is reachable from values of a type.
func pointerFree(t reflect.Type) bool { return consists(t, numeric) }

func numeric(k reflect.Kind) bool { return reflect.Bool <= k && k <= reflect.Complex128 }

// consists reports whether all that a type is made of, but for structs and arrays, is of certain kinds.
func consists(t reflect.Type, of func(reflect.Kind) bool) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() == 0 || consists(t.Elem(), of)
	case reflect.Struct:
		for i := range t.NumField() {
			if !consists(t.Field(i).Type, of) {
				return false
			}
		}
		return true
	}
	return of(t.Kind())
}

// scales weigh one value. They follow no pointer twice the same way for longer than left allows, so cycles end.
type scales struct{ left int }

// weigh returns what a value holds beyond its own words.
func (s *scales) weigh(v reflect.Value, depth int) int64 {
	t := v.Type()
	if flat(t) || depth > maxDepth {
		return 0
	}
	if s.left--; s.left < 0 {
		return 0
	}
	switch t.Kind() {
	case reflect.String:
		return int64(v.Len())
	case reflect.Pointer:
		if v.IsNil() {
			return 0
		}
		return int64(t.Elem().Size()) + s.weigh(v.Elem(), depth+1)
	case reflect.Interface:
		if v.IsNil() {
			return 0
		}
		held := v.Elem()
		if kind := held.Kind(); kind == reflect.Pointer || kind == reflect.Map || kind == reflect.Chan || kind == reflect.Func {
			return s.weigh(held, depth+1)
		}
		return int64(held.Type().Size()) + s.weigh(held, depth+1)
	case reflect.Struct:
		var sum int64
		for i := range t.NumField() {
			sum += s.weigh(v.Field(i), depth+1)
		}
		return sum
	case reflect.Array:
		return s.elements(v, depth)
	case reflect.Slice:
		return int64(v.Cap())*int64(t.Elem().Size()) + s.elements(v, depth)
	case reflect.Map:
		return s.table(v, depth)
	}
	return 0
}

// elements weighs what the elements of a slice or an array hold: as many as may be looked at, and the others alike.
func (s *scales) elements(v reflect.Value, depth int) int64 {
	if flat(v.Type().Elem()) || v.Len() == 0 {
		return 0
	}
	var sum int64
	for i := range v.Len() {
		if s.left <= 0 && i > 0 {
			return sum / int64(i) * int64(v.Len())
		}
		sum += s.weigh(v.Index(i), depth+1)
	}
	return sum
}

// table weighs a map. Its slots are filled to between 7/16 and 7/8, so they take about half as much again.
func (s *scales) table(v reflect.Value, depth int) int64 {
	if v.Len() == 0 {
		return wordBytes
	}
	t := v.Type()
	slots := int64(v.Len()) * (int64(t.Key().Size()+t.Elem().Size()) + 1) * 2
	if flat(t.Key()) && flat(t.Elem()) {
		return slots
	}
	var sum, seen int64
	for entries := v.MapRange(); entries.Next(); seen++ {
		if s.left <= 0 && seen > 0 {
			return slots + sum/seen*int64(v.Len())
		}
		sum += s.weigh(entries.Key(), depth+1) + s.weigh(entries.Value(), depth+1)
	}
	return slots + sum
}
