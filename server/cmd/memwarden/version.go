package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release's build: -ldflags "-X main.version=v1.2.3".
var version string

type versionDocument struct {
	Version   string `json:"version"`
	Revision  string `json:"revision,omitzero"` // of the source, with -dirty if it was changed since
	GoVersion string `json:"go_version"`
	Platform  string `json:"platform"`
}

func newVersionCommand(w *world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: action(func(context.Context, []string) error {
			v := describe(version, buildInfo())
			if asJSON {
				return writeJSON(w.stdout, v)
			}
			text := "memwarden " + v.Version
			if v.Revision != "" {
				text += " (" + v.Revision + ")"
			}
			_, err := fmt.Fprintf(w.stdout, "%s, %s, %s\n", text, v.GoVersion, v.Platform)
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// buildInfo is nil in a program that was not built from a module.
func buildInfo() *debug.BuildInfo {
	info, _ := debug.ReadBuildInfo()
	return info
}

// describe takes the version of the release, or else the module's; info may be nil.
func describe(release string, info *debug.BuildInfo) versionDocument {
	v := versionDocument{Version: release, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		info = &debug.BuildInfo{}
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && v.Revision != "" {
		v.Revision += "-dirty"
	}
	return v
}
