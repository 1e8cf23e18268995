package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageWidth is where lines that describe flags are broken.
const usageWidth = 100

// showUsage shows how a command is used. It takes the place of cobra's template: a program that carries out templates
// can call any method by its name, so that the linker has to keep all methods of all dependencies, a fifth of the binary.
func showUsage(command *cobra.Command) error {
	var text strings.Builder
	text.WriteString("Usage:")
	if command.Runnable() {
		fmt.Fprintf(&text, "\n  %s", command.UseLine())
	}
	if command.HasAvailableSubCommands() {
		fmt.Fprintf(&text, "\n  %s [command]\n\nAvailable Commands:", command.CommandPath())
		for _, sub := range command.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(&text, "\n  %-*s %s", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	showFlags(&text, "Flags", command.LocalFlags())
	showFlags(&text, "Global Flags", command.InheritedFlags())
	if command.HasAvailableSubCommands() {
		fmt.Fprintf(&text, "\n\nUse \"%s [command] --help\" for more information about a command.", command.CommandPath())
	}
	_, err := fmt.Fprintln(command.OutOrStderr(), text.String())
	return err
}

func showFlags(text *strings.Builder, title string, flags *pflag.FlagSet) {
	if flags.HasAvailableFlags() {
		fmt.Fprintf(text, "\n\n%s:\n%s", title, strings.TrimRight(flags.FlagUsagesWrapped(usageWidth), " \n"))
	}
}
