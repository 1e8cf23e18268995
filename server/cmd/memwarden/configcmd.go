package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/server/internal/config"
)

func newConfigCommand(w *world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration in force, and where each value comes from",
		Long: `Prints the configuration in force, and where each value comes from: a flag, the
environment, the environment file or the default. Secrets are masked. Mistakes
are all listed at once, and the exit code is 2.

Changes that were made through the API are kept in the database: the API shows
them, this command does not.`,
		Args: cobra.NoArgs,
	}
	flags := addConfigFlags(cmd, config.Settings())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = action(func(context.Context, []string) error {
		c, warnings, mistakes := flags.read(w)
		print := printConfig
		if asJSON {
			print = printConfigJSON
		}
		if err := print(w.stdout, c, warnings, mistakes); err != nil {
			return err
		}
		if mistakes == nil {
			return nil
		}
		if asJSON { // the document has them
			return &exit{code: exitUsage}
		}
		return &exit{exitUsage, mistakes}
	})
	return cmd
}

func printConfig(out io.Writer, c config.Config, warnings []string, _ error) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	section := ""
	for _, v := range c.Values.All() {
		if v.Setting.Section != section {
			if section != "" {
				fmt.Fprintln(table)
			}
			section = v.Setting.Section
			fmt.Fprintln(table, "# "+section)
		}
		value := v.Display()
		if value == "" {
			value = "(not set)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", v.Setting.Name, value, v.Source)
	}
	for i, warning := range warnings {
		if i == 0 {
			fmt.Fprintln(table)
		}
		fmt.Fprintln(table, "warning: "+warning)
	}
	return table.Flush()
}

type configDocument struct {
	EnvFile  string          `json:"env_file,omitzero"`
	Settings []configSetting `json:"settings"`
	Warnings []string        `json:"warnings,omitzero"`
	Mistakes []string        `json:"mistakes,omitzero"`
}

type configSetting struct {
	Name    string `json:"name"`
	Section string `json:"section"`
	Value   string `json:"value,omitzero"` // masked if secret; absent: not set
	Source  string `json:"source"`
	Secret  bool   `json:"secret,omitzero"`
}

func printConfigJSON(out io.Writer, c config.Config, warnings []string, mistakes error) error {
	document := configDocument{EnvFile: c.EnvFile, Warnings: warnings}
	for _, v := range c.Values.All() {
		s := v.Setting
		document.Settings = append(document.Settings, configSetting{s.Name, s.Section, v.Display(), v.Source, s.Secret})
	}
	if mistakes != nil {
		document.Mistakes = strings.Split(mistakes.Error(), "\n")
	}
	return writeJSON(out, document)
}

func writeJSON(out io.Writer, document any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
