package console

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"nats-test/internal/events"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A choice is the value of a flag that takes one of a few words.
type choice struct {
	value  *string
	preset string
	words  []string
}

// AddChoice adds to f, the flags of cmd, a flag that takes one of a few words, with
// shell completion. --help shows usage followed by choices, each a word with an
// optional remark.
func AddChoice(cmd *cobra.Command, f *pflag.FlagSet, value *string, name, shorthand, usage string, choices ...string) {
	c := &choice{value: value, preset: *value}
	for _, text := range choices {
		word, _, _ := strings.Cut(text, " ")
		c.words = append(c.words, word)
	}
	f.VarP(c, name, shorthand, usage+events.Either(choices))
	Complete(cmd, name, c.words...)
}

func (c *choice) Set(text string) error {
	if err := c.check(text); err != nil {
		return err
	}
	*c.value = text
	return nil
}

// check refuses any other word. The default, which may be empty, is always valid.
func (c *choice) check(text string) error {
	if text != c.preset && !slices.Contains(c.words, text) {
		return errors.New("must be " + events.Either(c.words))
	}
	return nil
}

func (c *choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Type makes --help show a choice like a string.
func (*choice) Type() string { return "string" }

// CheckEnv checks an environment variable that corresponds to a flag made by
// AddChoice.
func CheckEnv(cmd *cobra.Command, flag, variable, text string) error {
	c, ok := cmd.Flag(flag).Value.(*choice)
	if !ok {
		panic(fmt.Sprintf("--%s is no choice", flag)) // a bug in this program
	}
	if err := c.check(text); err != nil {
		return Usage(cmd, "%s=%q: %w", variable, text, err)
	}
	return nil
}
