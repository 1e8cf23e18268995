package snapshot

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// documented returns the rows of the table of docs/format/snapshot.md that has a head.
func documented(t *testing.T, head string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/format/snapshot.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "\n"+head+"\n")
	if !found {
		t.Fatalf("the document has no table %q", head)
	}
	var rows [][]string
	for i, line := range strings.Split(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if i == 0 {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		rows = append(rows, cells)
	}
	return rows
}

// expect compares the first cells of a table.
func expect(t *testing.T, head string, want [][]string) {
	t.Helper()
	rows := documented(t, head)
	for i := range rows {
		if i < len(want) {
			rows[i] = rows[i][:len(want[i])]
		}
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("the document's table %s has\n%v, want\n%v", head, rows, want)
	}
}

func TestDocumentedChunks(t *testing.T) {
	var want [][]string
	for k := kind(1); k < kinds; k++ {
		rows := documented(t, "| kind | name | count | extra | compressed |")
		row := []string{fmt.Sprint(uint32(k)), kindInfos[k].name}
		if len(rows) >= int(k) {
			row = append(row, rows[k-1][2], rows[k-1][3])
		}
		want = append(want, append(row, map[bool]string{true: "may be", false: "no"}[kindInfos[k].deflate]))
	}
	expect(t, "| kind | name | count | extra | compressed |", want)
	expect(t, "| bit | name | what it means |", [][]string{{"0", "skippable"}, {"1", "compressed"}, {"2", "continued"}, {"3", "open"}})
	for bit, flag := range []uint32{flagSkippable, flagDeflate, flagContinued, flagOpen} {
		if flag != 1<<bit {
			t.Errorf("flag %d is %#x", bit, flag)
		}
	}
	expect(t, "| offset | type | chunk header: 48 bytes |", [][]string{
		{"0", "`u32`", "kind"}, {"4", "`u32`", "flags"}, {"8", "`u64`"}, {"16", "`u64`"}, {"24", "`u64`"}, {"32", "`u32`"},
		{"36", "`u32`"}, {"40", "`u32`"}, {"44", "`u32`"},
	})
}

func TestDocumentedNumbers(t *testing.T) {
	kinds := map[Kind]string{Pointer: "Pointer"}
	var want [][]string
	for k := Invalid; k <= UnsafePointer; k++ {
		// The names are reflect's, in whose table they stand as in the language.
		name := kinds[k]
		if name == "" {
			name = reflect.Kind(k).String()
			name = map[string]string{"unsafe.Pointer": "UnsafePointer"}[name] + title(name)
		}
		want = append(want, []string{fmt.Sprint(uint8(k)), name})
	}
	rows := documented(t, "| kind | name |")
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("the document's kinds of types are\n%v, want\n%v", rows, want)
	}
	expect(t, "| lowest bit | evidence | what follows |", [][]string{
		{"0", fmt.Sprint(uint8(DynamicType)) + " dynamic type"}, {"1", fmt.Sprint(uint8(Length)) + " length"},
	})
	expect(t, "| flag | meaning |", [][]string{
		{fmt.Sprint(typeDirectIface)}, {fmt.Sprint(typeDebugOnly)}, {fmt.Sprint(typeElem)}, {fmt.Sprint(typeKey)},
		{fmt.Sprint(typeLen)}, {fmt.Sprint(typeGroup)}, {fmt.Sprint(typeFields)},
	})
}

// title begins a name with an upper-case letter; names with a dot are others'.
func title(name string) string {
	if strings.Contains(name, ".") {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func TestDocumentedRoots(t *testing.T) {
	names := map[RootKind]string{
		OtherRoot: "OtherRoot", Global: "Global", StackRoot: "StackRoot", Register: "Register", Finalizer: "Finalizer",
		Cleanup: "Cleanup", Queued: "Queued", Deferred: "Deferred",
	}
	var want [][]string
	for k := OtherRoot; k <= Deferred; k++ {
		want = append(want, []string{fmt.Sprint(uint8(k)), names[k]})
	}
	text, err := os.ReadFile("../../docs/format/snapshot.md")
	if err != nil {
		t.Fatal(err)
	}
	_, roots, _ := strings.Cut(string(text), "\n## Roots\n")
	for _, row := range want {
		if line := "| " + strings.Join(row, " | ") + " |\n"; !strings.Contains(roots, line) {
			t.Errorf("the document's roots have no line %q", line)
		}
	}
	for flag, line := range map[int]string{rootConservative: "| 1 | taken", rootGoroutine: "| 2 | belongs to a g", rootObject: "| 4 | belongs to an o"} {
		if !strings.Contains(roots, line) || !strings.HasPrefix(line, fmt.Sprintf("| %d |", flag)) {
			t.Errorf("flag %d: %q", flag, line)
		}
	}
}
