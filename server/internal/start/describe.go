package start

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/launch"
)

// Describe prints what Run would do, and every value that the service would begin with, as an environment file; secrets
// are masked. It starts nothing, opens no connection and writes no file.
func Describe(out io.Writer, o Options) error {
	var text strings.Builder
	o.describeSteps(&text)
	o.describeDecisions(&text)
	memory, gc, procs := o.Plan.InForce(o.MaxProcs)
	fmt.Fprintf(&text, "\n# Go runtime\n%s=%s\n%s=%s\n%s=%s\n", config.MemoryLimit, memory, config.GCPercent, gc, config.MaxProcs, procs)
	sized := map[string]string{}
	for _, d := range o.Plan.Decisions {
		sized[d.Name] = d.Value
	}
	section := ""
	for _, v := range o.Config.Values.All() {
		if v.Setting.Section != section {
			section = v.Setting.Section
			fmt.Fprintf(&text, "\n# %s\n", section)
		}
		value := v.Display()
		if own, ok := sized[v.Setting.Name]; ok {
			value = own
		}
		fmt.Fprintln(&text, config.FormatAssignment(v.Setting.Name, value))
	}
	describeOthers(&text, o.Plan.Changes, o.Config)
	_, err := io.WriteString(out, text.String())
	return err
}

func (o Options) describeSteps(text *strings.Builder) {
	c := o.Config
	database := "the embedded database in " + o.inDir(c.DataDir)
	if c.DatabaseURL != "" {
		database = "PostgreSQL (MEMWARDEN_DATABASE_URL)"
	}
	fmt.Fprintf(text, `# Dry run: nothing is started. The environment file is %s.
# 1. Look whether %s is free.
# 2. Bring the schema up to date of %s: %[4]s migrate
# 3. Start the service in %[5]s: %[4]s serve
# 4. Wait until it is ready: /readyz at %[2]s.
# 5. Pass signals on to it; end with its exit code.
# Log: the standard output, and %[6]s with at most %[7]d older files beside it, each of %[8]s at most.
`, c.EnvFile, c.Addr, database, o.Plan.Path, o.inDir("."), o.inDir(c.LogFile), c.LogFileMaxCount, bytesize.Format(c.LogFileMaxBytes))
}

func (o Options) describeDecisions(text *strings.Builder) {
	fmt.Fprintln(text, "#\n# Worked out:")
	for _, d := range o.Plan.Decisions {
		fmt.Fprintf(text, "# %s: %s\n", d.Name, d.Reason)
	}
	for _, problem := range o.Plan.Problems {
		fmt.Fprintf(text, "# problem: %s\n", strconv.Quote(problem))
	}
}

// describeOthers prints what else the environment file sets.
func describeOthers(text *strings.Builder, changes []launch.Change, c config.Config) {
	known := map[string]bool{config.MemoryLimit: true, config.GCPercent: true, config.MaxProcs: true}
	for _, v := range c.Values.All() {
		known[v.Setting.Name] = true
	}
	others := slices.DeleteFunc(slices.Clone(changes), func(c launch.Change) bool { return known[c.Name] || c.Unset })
	if len(others) > 0 {
		fmt.Fprintln(text, "\n# Others")
	}
	for _, c := range others {
		fmt.Fprintln(text, config.FormatAssignment(c.Name, c.Value))
	}
}
