package config

import (
	"strings"
	"testing"
)

func TestRuntimeVariablesOfTheFile(t *testing.T) {
	for text, want := range map[string]string{
		"GOMEMLIMIT=230MiB\nGOGC=off\nGOMAXPROCS=2\n":      "",
		"GOMEMLIMIT=off\nGOGC=0\nGOMAXPROCS=\n":            "",
		"GOMEMLIMIT=8388607TiB\nGOGC=100\n":                "",
		"# first\nGOMEMLIMIT=1.5GiB\n":                     ":2: GOMEMLIMIT: \"1.5GiB\": want a size",
		"GOMEMLIMIT=230MB\n":                               ":1: GOMEMLIMIT: ",
		"GOMEMLIMIT=8388608TiB\n":                          ":1: GOMEMLIMIT: ",
		"GOMEMLIMIT=99999999999999999999\n":                ":1: GOMEMLIMIT: ",
		"GOGC=-1\n":                                        ":1: GOGC: \"-1\": want a whole number, or off",
		"GOGC=1e3\n":                                       ":1: GOGC: ",
		"\nGOMAXPROCS=0\n":                                 ":2: GOMAXPROCS: \"0\": want 1 to 1048576",
		"GOMAXPROCS=two\nGOGC=x\nMEMWARDEN_RATE_LIMIT=x\n": ":3: MEMWARDEN_RATE_LIMIT: ",
	} {
		file := envFile(t, text, 0o600)
		c, _, err := Load(Sources{EnvFile: &file})
		if want == "" {
			if err != nil || len(c.File) == 0 {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), file+want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
