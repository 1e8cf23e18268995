package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/settings"
)

// configFlags are a command's flags for settings, made from the table of settings.
type configFlags struct {
	cmd     *cobra.Command
	flags   map[string]string // of a setting: its flag
	envFile string
	// standard is the environment file, which must exist, where the command line names none; empty: .env, if it exists.
	standard string
}

const envFileFlag = "env-file"

// addConfigFlags gives a command a flag for each setting that is no secret, and --env-file.
func addConfigFlags(cmd *cobra.Command, table []settings.Setting) *configFlags {
	f := &configFlags{cmd: cmd, flags: make(map[string]string, len(table))}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.envFile, envFileFlag, "", "read settings from this `file`, not from .env; \"\" reads none")
	for _, s := range table {
		if s.Secret {
			continue
		}
		name := s.Flag()
		f.flags[s.Name] = name
		cmd.Flags().Var(&flagValue{kind: s.Kind}, name, usage(s))
		if s.Kind == settings.Bool {
			cmd.Flags().Lookup(name).NoOptDefVal = "true"
		}
	}
	return f
}

func usage(s settings.Setting) string {
	text := s.Help + " " + s.Name
	if s.Default != "" {
		text += ", default " + s.Default
	}
	if limits := s.Range(); limits != "" {
		text += ", " + limits
	}
	return text
}

// flagValue keeps the text of a flag: package settings checks it, with all the others.
type flagValue struct {
	text string
	kind settings.Kind
}

func (v *flagValue) String() string { return v.text }

func (v *flagValue) Set(text string) error {
	v.text = text
	return nil
}

// Type names the kind of value in the help.
func (v *flagValue) Type() string {
	switch v.kind {
	case settings.Bool:
		return "bool"
	case settings.Int:
		return "number"
	case settings.Ratio:
		return "ratio"
	case settings.Duration:
		return "duration"
	case settings.Bytes:
		return "size"
	default:
		return "text"
	}
}

// read resolves the configuration; the caller decides what becomes of mistakes.
func (f *configFlags) read(w *world) (c config.Config, warnings []string, mistakes error) {
	sources := config.Sources{Environ: w.environ, Dir: w.dir, Flag: func(setting string) (string, bool) {
		name, ok := f.flags[setting]
		if !ok || !f.cmd.Flags().Changed(name) {
			return "", false
		}
		return f.cmd.Flags().Lookup(name).Value.String(), true
	}}
	if f.cmd.Flags().Changed(envFileFlag) {
		sources.EnvFile = &f.envFile
	} else if f.standard != "" {
		sources.EnvFile = &f.standard
	}
	return config.Load(sources)
}

// load resolves the configuration and prints its warnings; mistakes end the command.
func (f *configFlags) load(w *world) (config.Config, error) {
	c, warnings, err := f.read(w)
	if err != nil {
		return c, &exit{exitUsage, err}
	}
	for _, warning := range warnings {
		fmt.Fprintln(w.stderr, "memwarden: warning: "+warning)
	}
	return c, nil
}
