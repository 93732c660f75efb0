package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// A build says what a program was built from. What the build did not record is empty:
// a build outside of a repository knows no revision.
type build struct {
	Program  string `json:"program"`
	Version  string `json:"version"`            // a release, a pseudo-version, or "(devel)"
	Revision string `json:"revision,omitempty"` // of version control
	Time     string `json:"time,omitempty"`     // of the revision, RFC 3339
	Modified bool   `json:"modified,omitempty"` // the files differed from the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildOf(program string) build {
	b := build{Program: program, Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(info.Main.Version, "(devel)")
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	revision := "revision unknown"
	if b.Revision != "" {
		revision = fmt.Sprintf("revision %.12s of %s", b.Revision, b.Time)
	}
	if b.Modified {
		revision += ", modified"
	}
	return fmt.Sprintf("%s version %s (%s), %s, %s", b.Program, b.Version, revision, b.Go, b.Platform)
}

// AddVersion gives a command --version. With -o json it is a line of JSON. cobra's own
// version flag prints before -o is known.
func AddVersion(cmd *cobra.Command) {
	version := cmd.Flags().BoolP("version", "v", false, "show the version, and what it was built from")
	check, run := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if *version {
			return nil
		}
		return check(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*version {
			return run(cmd, args)
		}
		b := buildOf(cmd.Name())
		if cmd.Flag("output").Value.String() != "json" {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), b)
			return err
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
	}
}
