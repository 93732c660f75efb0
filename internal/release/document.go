package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/listen"
	"nats-test/internal/cli/publish"
)

// commands returns the programs' commands, as they are without any environment.
func commands() []*cobra.Command {
	s := &console.System{Getenv: func(string) string { return "" }}
	roots := []*cobra.Command{publish.New(s), listen.New(s)}
	for _, root := range roots {
		root.DisableAutoGenTag = true // else today's date is in it
		root.InitDefaultHelpCmd()
		root.InitDefaultCompletionCmd()
	}
	return roots
}

// document writes the manual pages and the completions.
func (r *release) document() error {
	man, completions := filepath.Join(r.work, "man", "man1"), filepath.Join(r.work, "completions")
	if err := errors.Join(os.MkdirAll(man, 0o755), os.MkdirAll(completions, 0o755)); err != nil {
		return err
	}
	for _, root := range commands() {
		if err := eachCommand(root, func(cmd *cobra.Command) error { return r.manual(man, cmd) }); err != nil {
			return err
		}
		for shell, write := range map[string]func(string) error{
			"bash": func(file string) error { return root.GenBashCompletionFileV2(file, true) },
			"zsh":  root.GenZshCompletionFile,
			"fish": func(file string) error { return root.GenFishCompletionFile(file, true) },
			"ps1":  root.GenPowerShellCompletionFileWithDesc,
		} {
			if err := write(filepath.Join(completions, root.Name()+"."+shell)); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachCommand calls do with a command and those below it, but for help.
func eachCommand(cmd *cobra.Command, do func(*cobra.Command) error) error {
	if cmd.Name() == "help" {
		return nil
	}
	if err := do(cmd); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if err := eachCommand(sub, do); err != nil {
			return err
		}
	}
	return nil
}

// manual writes the manual page of a command, with the exit codes.
func (r *release) manual(dir string, cmd *cobra.Command) error {
	title := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	var page bytes.Buffer
	header := &doc.GenManHeader{Title: strings.ToUpper(title), Section: "1", Date: &r.time, Source: name + " " + r.version, Manual: "Events on NATS"}
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return err
	}
	fmt.Fprintf(&page, ".SH EXIT STATUS\n.nf\n%s.fi\n", roff(exitCodes()))
	return os.WriteFile(filepath.Join(dir, title+".1"), page.Bytes(), 0o644)
}

// exitCodes is console's list without its title.
func exitCodes() string {
	_, list, _ := strings.Cut(console.ExitHelp, "\n")
	return list
}

// roff returns text so that a manual page shows it as it is.
func roff(text string) string { return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text) }

// writeReference writes a page of Markdown for each command.
func writeReference(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, root := range commands() {
		if err := doc.GenMarkdownTree(root, dir); err != nil {
			return err
		}
	}
	return nil
}
