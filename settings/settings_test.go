package settings

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func table() []Setting {
	return []Setting{
		{Name: "MEMWARDEN_TEXT", Kind: String},
		{Name: "MEMWARDEN_ON", Kind: Bool, Default: "true"},
		{Name: "MEMWARDEN_COUNT", Kind: Int, Default: "5", Min: 1, Max: 9},
		{Name: "MEMWARDEN_SHARE", Kind: Ratio, Default: "70%", Min: 0.1, Max: 1},
		{Name: "MEMWARDEN_WAIT", Kind: Duration, Default: "10s", Min: 1, Max: 60},
		{Name: "MEMWARDEN_ROOM", Kind: Bytes, Default: "1MiB", Min: 0, Max: 1 << 30},
		{Name: "MEMWARDEN_KEY", Kind: String, Secret: true, Check: func(text string) error {
			if len(text) < 8 {
				return errors.New("it is too short")
			}
			return nil
		}},
		{Name: "MEMWARDEN_SECRET_COUNT", Kind: Int, Secret: true},
	}
}

func layer(source string, pairs ...string) Layer {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return Layer{Source: source, Lookup: func(name string) (string, bool) { text, ok := values[name]; return text, ok }}
}

func TestDefaultsHoldWhereNothingIsSet(t *testing.T) {
	v, err := Resolve(table())
	if err != nil {
		t.Fatal(err)
	}
	if v.String("MEMWARDEN_TEXT") != "" || !v.Bool("MEMWARDEN_ON") || v.Int("MEMWARDEN_COUNT") != 5 || v.Ratio("MEMWARDEN_SHARE") != 0.7 ||
		v.Duration("MEMWARDEN_WAIT") != 10*time.Second || v.Bytes("MEMWARDEN_ROOM") != 1<<20 {
		t.Errorf("defaults: %+v", v.All())
	}
	for _, value := range v.All() {
		if value.Source != SourceDefault {
			t.Errorf("%s comes from %q, want %q", value.Setting.Name, value.Source, SourceDefault)
		}
	}
}

func TestEarlierLayersGoFirstAndEmptyTextIsNotSet(t *testing.T) {
	v, err := Resolve(table(),
		layer("flag", "MEMWARDEN_COUNT", "2", "MEMWARDEN_WAIT", ""),
		layer("environment", "MEMWARDEN_COUNT", "3", "MEMWARDEN_WAIT", "20s", "MEMWARDEN_ON", "off"),
	)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("MEMWARDEN_COUNT"); v.Int("MEMWARDEN_COUNT") != 2 || got.Source != "flag" {
		t.Errorf("count: %+v", got)
	}
	if got := v.Get("MEMWARDEN_WAIT"); v.Duration("MEMWARDEN_WAIT") != 20*time.Second || got.Source != "environment" {
		t.Errorf("wait: %+v", got)
	}
	if v.Bool("MEMWARDEN_ON") {
		t.Error("off was read as on")
	}
}

func TestEveryMistakeIsToldAtOnceWithoutSecrets(t *testing.T) {
	v, err := Resolve(table(), layer("environment",
		"MEMWARDEN_ON", "perhaps", "MEMWARDEN_COUNT", "10", "MEMWARDEN_SHARE", "NaN", "MEMWARDEN_WAIT", "-5s",
		"MEMWARDEN_ROOM", "much", "MEMWARDEN_KEY", "hunter2", "MEMWARDEN_SECRET_COUNT", "hunter3"))
	if err == nil {
		t.Fatal("no mistake was found")
	}
	text := err.Error()
	for _, name := range []string{"ON", "COUNT", "SHARE", "WAIT", "ROOM", "KEY", "SECRET_COUNT"} {
		if !strings.Contains(text, "MEMWARDEN_"+name+" (environment): ") {
			t.Errorf("%s is not named in:\n%s", name, text)
		}
	}
	if strings.Contains(text, "hunter") {
		t.Errorf("a secret is told:\n%s", text)
	}
	if want := `"10": want 1 to 9`; !strings.Contains(text, want) {
		t.Errorf("no %q in:\n%s", want, text)
	}
	var mistake *Mistake
	if !errors.As(err, &mistake) || mistake.Unwrap() == nil {
		t.Errorf("%T is not made of mistakes", err)
	}
	if v.Int("MEMWARDEN_COUNT") != 5 || v.Get("MEMWARDEN_COUNT").Source != SourceDefault {
		t.Errorf("the default does not stand in for a mistake: %+v", v.Get("MEMWARDEN_COUNT"))
	}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		kind  Kind
		text  string
		value any // nil: refused
	}{
		{Bool, "YES", true}, {Bool, "0", false}, {Bool, "y", nil},
		{Int, " 7 ", int64(7)}, {Int, "7.5", nil}, {Int, "99999999999999999999", nil},
		{Ratio, "0.5", 0.5}, {Ratio, "50%", 0.5}, {Ratio, "half", nil}, {Ratio, "nan", nil},
		{Duration, "1m30s", 90 * time.Second}, {Duration, "90", nil},
		{Bytes, "512Mi", int64(512 << 20)}, {Bytes, "-1", nil},
		{String, " as it is ", "as it is"},
	} {
		value, _, err := c.kind.parse(c.text)
		if c.value == nil {
			if err == nil {
				t.Errorf("%v accepts %q as %v", c.kind, c.text, value)
			}
		} else if err != nil || value != c.value {
			t.Errorf("%v of %q is %v, %v; want %v", c.kind, c.text, value, err, c.value)
		}
	}
}

func TestDisplayMasksSecrets(t *testing.T) {
	v, err := Resolve(table(), layer("environment", "MEMWARDEN_KEY", "correct horse", "MEMWARDEN_TEXT", "shown"))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("MEMWARDEN_KEY").Display(); strings.Contains(got, "horse") || got == "" {
		t.Errorf("the secret is displayed as %q", got)
	}
	if got := v.Get("MEMWARDEN_TEXT").Display(); got != "shown" {
		t.Errorf("text is displayed as %q", got)
	}
	if got := v.Get("MEMWARDEN_SECRET_COUNT").Display(); got != "" {
		t.Errorf("a secret that is not set is displayed as %q", got)
	}
}

func TestNamesAndRanges(t *testing.T) {
	s := Setting{Name: "MEMWARDEN_DATA_DIR"}
	if s.Flag() != "data-dir" || s.Range() != "" {
		t.Errorf("flag %q, range %q", s.Flag(), s.Range())
	}
	for want, s := range map[string]Setting{
		"1s to 1m0s": {Kind: Duration, Min: 1, Max: 60}, "0 B to 1.0 GiB": {Kind: Bytes, Max: 1 << 30}, "0.1 to 1": {Kind: Ratio, Min: 0.1, Max: 1},
	} {
		if s.Range() != want {
			t.Errorf("range %q, want %q", s.Range(), want)
		}
	}
}

func TestMisspeltNameAndWrongKindPanic(t *testing.T) {
	v, err := Resolve(table())
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(){
		"unknown name": func() { v.Get("MEMWARDEN_NOTHING") },
		"wrong kind":   func() { v.Bool("MEMWARDEN_COUNT") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

func TestFieldError(t *testing.T) {
	if got := (&FieldError{Field: "gc.relief", Message: "want true or false"}).Error(); got != "gc.relief: want true or false" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "true", "7", "70%", "NaN", "1m", "512MiB", "-0", "1e400"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for kind := range kindNames {
			value, number, err := Kind(kind).parse(text)
			if err == nil && (value == nil || number != number) {
				t.Errorf("%v of %q: value %v, number %v without an error", Kind(kind), text, value, number)
			}
		}
	})
}
