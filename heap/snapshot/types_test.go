package snapshot

import (
	"strings"
	"testing"
)

func TestCheckTypes(t *testing.T) {
	deep := []Type{{}, {Kind: Int, Size: 8}}
	for len(deep) < maxDepth+10 {
		deep = append(deep, Type{Kind: Struct, Size: 8, Fields: []Field{{Type: TypeID(len(deep) - 1)}}})
	}
	for want, types := range map[string][]Type{
		"element 9, key 0, group 0 of 1 types":              {{Elem: 9}},
		"8 bytes with pointers in 16":                       {{Size: 8, PtrBytes: 16}},
		"144115188075855872 bytes":                          {{Size: 1 << 57}},
		"type 1 (T): field f has type 2 of 2":               {{}, {Name: "T", Kind: Struct, Fields: []Field{{Name: "f", Type: 2}}}},
		"field f of 8 bytes at 8 does not fit into 8 bytes": {{}, {Kind: Struct, Size: 8, Fields: []Field{{Name: "f", Type: 2, Offset: 8}}}, {Size: 8}},
		"3 elements of 8 bytes do not fit into 16 bytes":    {{}, {Kind: Array, Size: 16, Len: 3, Elem: 2}, {Size: 8}},
		"contains itself":                                   {{}, {Kind: Struct, Fields: []Field{{Type: 2}}}, {Kind: Array, Len: 5, Elem: 1}},
		"(S) contains itself":                               {{}, {Name: "S", Kind: Struct, Size: 8, Fields: []Field{{Type: 1}}}},
		"nested more than 1000 deep":                        deep,
	} {
		if err := CheckTypes(types); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	fine := []Type{
		{}, {Kind: Pointer, Size: 8, PtrBytes: 8, Elem: 2}, {Kind: Struct, Size: 16, PtrBytes: 8, Fields: []Field{{Type: 1}, {Type: 3, Offset: 16}}},
		{Kind: Struct}, {Kind: Array, Elem: 4}, {Kind: Array, Elem: 2, Len: 2, Size: 32},
	}
	if err := CheckTypes(fine); err != nil {
		t.Error(err)
	}
	if err := CheckTypes(deep[:maxDepth]); err != nil {
		t.Error(err)
	}
}
