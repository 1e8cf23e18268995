package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestParseEnvFileValues(t *testing.T) {
	cases := map[string]string{ // line: value of A
		`A=b`:                      "b",
		`A=`:                       "",
		`A=   `:                    "",
		`A= b c `:                  "b c",
		` A = b`:                   "b",
		"\tA\t=\tb\t":              "b",
		`export A=b`:               "b",
		"export\t A=b":             "b",
		"A=b\r":                    "b",
		`A=b # comment`:            "b",
		"A=b\t#comment":            "b",
		`A=b#c`:                    "b#c",
		`A=#b`:                     "#b",
		`A= # comment`:             "",
		`A=a=b==`:                  "a=b==",
		`A=$HOME ${HOME} $(date)`:  "$HOME ${HOME} $(date)",
		"A=`date`":                 "`date`",
		`A=%PATH%`:                 "%PATH%",
		`A=C:\new`:                 `C:\new`,
		`A=it's "so"`:              `it's "so"`,
		`A='b # c'`:                "b # c",
		`A=''`:                     "",
		`A=' b '`:                  " b ",
		`A='\n$x"'`:                `\n$x"`,
		`A='b' # comment`:          "b",
		`A='b'	#`:                  "b",
		`A="b # c"`:                "b # c",
		`A=""`:                     "",
		`A="a\nb"`:                 "a\nb",
		`A="a\"b\\c\$d"`:           `a"b\c$d`,
		`A="$HOME 'x'"`:            "$HOME 'x'",
		`A="b"  `:                  "b",
		`A="ü€"`:                   "ü€",
		"\ufeffA=b":                "b",
		"# B=c\n\n   # x\n\nA=b\n": "b",
	}
	for text, want := range cases {
		got, err := ParseEnvFile("f", strings.NewReader(text))
		if err != nil || len(got) != 1 || got[0].Name != "A" || string(got[0].Value) != want {
			t.Errorf("%q: got %#v, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseEnvFileListsEveryMistake(t *testing.T) {
	const text = `
GOOD=1
hunter2-without-equals
2ND=hunter2
A B=hunter2
=hunter2
A="hunter2
A='hunter2
A="hunter2\t"
A="hunter2\
A="hunter2" hunter2
A='hunter2'x
A='hunter2'#x
GOOD=hunter2
A=hunter` + "\x01" + `2
exportA B=hunter2
export A=2
`
	got, err := ParseEnvFile("some.env", strings.NewReader(text))
	want := `some.env:3: want NAME=value
some.env:4: want letters, digits and _ before the =, with no digit first
some.env:5: want letters, digits and _ before the =, with no digit first
some.env:6: want letters, digits and _ before the =, with no digit first
some.env:7: A: the double quote is not closed in its line
some.env:8: A: the single quote is not closed in its line
some.env:9: A: between double quotes only \n, \", \\ and \$ may follow a backslash: write \\ for one, or use single quotes
some.env:10: A: the double quote is not closed in its line
some.env:11: A: text after the closing quote
some.env:12: A: text after the closing quote
some.env:13: A: text after the closing quote
some.env:14: GOOD is set in line 2 already
some.env:15: A: a control character in the value
some.env:16: want letters, digits and _ before the =, with no digit first`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if !slices.Equal(got, []Assignment{{"GOOD", "1", 2}, {"A", "2", 17}}) {
		t.Errorf("what can be read: %#v", got)
	}
	var line *LineError
	if !errors.As(err, &line) || line.Line != 3 {
		t.Errorf("no *LineError in %v", err)
	}
}

func TestParseEnvFileIsBounded(t *testing.T) {
	full := "A=" + strings.Repeat("x", MaxEnvFileBytes-2)
	if got, err := ParseEnvFile("f", strings.NewReader(full)); err != nil || len(got[0].Value) != MaxEnvFileBytes-2 {
		t.Errorf("a file of the largest size: %v", err)
	}
	if _, err := ParseEnvFile("f", strings.NewReader(full+"x")); err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("a byte more: %v", err)
	}
	_, err := ParseEnvFile("f", strings.NewReader(strings.Repeat("x\n", 250)))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 101 || lines[100] != "f: 150 more lines cannot be used" {
		t.Errorf("250 mistakes are listed in %d lines, last %q", len(lines), lines[len(lines)-1])
	}
}

func TestParseEnvFileRefusesOtherEncodings(t *testing.T) {
	for name, text := range map[string]string{"UTF-16": "\xff\xfeA\x00=\x00", "NUL": "A=b\x00", "Latin-1": "A=\xfc"} {
		if got, err := ParseEnvFile("f", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "UTF-8") || got != nil {
			t.Errorf("%s: %#v, %v", name, got, err)
		}
	}
	if _, err := ParseEnvFile("f", iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// FuzzParseEnvFile checks what holds for every file: names are names, lines rise, values reach a file and come back
// (written in double quotes), and no mistake shows a value.
func FuzzParseEnvFile(f *testing.F) {
	for _, seed := range []string{"A=b", "export A='b' # c\r\nB=\"\\n\\\"\"", "\ufeffA=#", "A=\"\\", "# x\n\nA = 1", "A=1\nA=2", "=", "A='", "\xff", "A=$(x)`y`"} {
		f.Add(seed)
	}
	escape := strings.NewReplacer("\\", `\\`, `"`, `\"`, "\n", `\n`, "$", `\$`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseEnvFile("f", strings.NewReader(text))
		last := 0
		var again strings.Builder
		seen := map[string]bool{}
		for _, a := range got {
			if !isName(a.Name) || seen[a.Name] || a.Line <= last || !utf8.ValidString(string(a.Value)) {
				t.Fatalf("%q: %#v", text, got)
			}
			last, seen[a.Name] = a.Line, true
			fmt.Fprintf(&again, "export %s = \"%s\" # x\r\n", a.Name, escape.Replace(string(a.Value)))
			if line := FormatAssignment(a.Name, string(a.Value)); len(line) <= MaxEnvFileBytes {
				one, err := ParseEnvFile("f", strings.NewReader(line))
				if err != nil || len(one) != 1 || one[0].Name != a.Name || one[0].Value != a.Value {
					t.Fatalf("%q is written as %q and read as %#v, %v", a.Value, line, one, err)
				}
			}
		}
		back, err2 := ParseEnvFile("f", strings.NewReader(again.String()))
		same := slices.EqualFunc(got, back, func(a, b Assignment) bool { return a.Name == b.Name && a.Value == b.Value })
		if !same || err2 != nil && again.Len() <= MaxEnvFileBytes {
			t.Fatalf("%q is written as %q and read as %#v, %v", text, again.String(), back, err2)
		}
		if err == nil {
			for line := range strings.SplitSeq(strings.TrimPrefix(text, "\ufeff"), "\n") {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !strings.Contains(line, "=") {
					t.Fatalf("%q: line %q was passed over", text, line)
				}
			}
		}
	})
}
