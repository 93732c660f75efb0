package console

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Wrong flags are refused in plain words, not in those of Go's parsers.
func TestFlagErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--count x":                    `--count "x": must be a whole number`,
		"--count 1.5":                  `--count "1.5": must be a whole number`,
		"--count 99999999999999999999": `--count "99999999999999999999": is out of range`,
		"-n x":                         `--count "x": must be a whole number`,
		"-n":                           "--count needs a value",
		"--count":                      "--count needs a value",
		"--rate x":                     `--rate "x": must be a number`,
		"--idle 5":                     `--idle "5": must be a duration, such as 500ms, 5s or 1h30m`,
		"--raw=x":                      `--raw "x": must be true or false`,
		"--output xml":                 `--output "xml": must be text, json or raw`,
		"--output=":                    `--output "": must be text, json or raw`,
		"--kind xml":                   `--kind "xml": must be a or b`,
		"--nope":                       "unknown flag: --nope",
		"-Z":                           "unknown flag: -Z",
		"-Zn":                          "unknown flag: -Z",
		"--=x":                         "--=x is no flag",
		"--kind= --output raw":         "",
	} {
		cmd := &cobra.Command{Use: "publish", SilenceErrors: true, SilenceUsage: true, Run: func(*cobra.Command, []string) {}}
		cmd.SetFlagErrorFunc(FlagError)
		f := cmd.Flags()
		f.IntP("count", "n", 1, "")
		f.Float64("rate", 0, "")
		f.Duration("idle", 0, "")
		f.Bool("raw", false, "")
		output, kind := "text", ""
		AddChoice(cmd, f, &output, "output", "o", "", "text", "json (a record per line)", "raw")
		AddChoice(cmd, f, &kind, "kind", "", "`KIND`: ", "a", "b")
		cmd.SetArgs(strings.Fields(args))
		err := cmd.Execute()
		if want == "" {
			if err != nil || output != "raw" {
				t.Errorf("%s: %v, output %s", args, err, output)
			}
			continue
		}
		if err == nil || err.Error() != want || !errors.Is(err, ErrUsage) || HintFor(err) != "see publish --help" {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// A choice documents and completes its values.
func TestChoice(t *testing.T) {
	cmd := &cobra.Command{Use: "listen"}
	output := "text"
	AddChoice(cmd, cmd.Flags(), &output, "output", "o", "how: ", "text", "json (a record per line)")
	if got := cmd.Flags().FlagUsages(); !strings.Contains(got, `-o, --output string   how: text or json (a record per line) (default "text")`) {
		t.Error(got)
	}
	complete, _ := cmd.GetFlagCompletionFunc("output")
	if words, _ := complete(cmd, nil, ""); strings.Join(words, " ") != "text json" {
		t.Error(words)
	}
	if err := CheckEnv(cmd, "output", "OUTPUT", "xml"); err == nil || err.Error() != `OUTPUT="xml": must be text or json` {
		t.Error(err)
	}
	if err := CheckEnv(cmd, "output", "OUTPUT", "json"); err != nil {
		t.Error(err)
	}
}
