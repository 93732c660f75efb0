package console

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A choice is the value of a flag that takes one of a few words.
type choice struct {
	value  *string
	preset string
	words  []string
}

// AddChoice puts a flag on cmd, in f, that takes one of a few words, and completes
// it in the shell. --help shows usage followed by choices: each is a word with an
// optional remark.
func AddChoice(cmd *cobra.Command, f *pflag.FlagSet, value *string, name, shorthand, usage string, choices ...string) {
	c := &choice{value: value, preset: *value}
	for _, text := range choices {
		word, _, _ := strings.Cut(text, " ")
		c.words = append(c.words, word)
	}
	f.VarP(c, name, shorthand, usage+listed(choices))
	Complete(cmd, name, c.words...)
}

func (c *choice) Set(text string) error {
	if err := c.check(text); err != nil {
		return err
	}
	*c.value = text
	return nil
}

// check refuses any other word. The default, which may be none, is always legal.
func (c *choice) check(text string) error {
	if text != c.preset && !slices.Contains(c.words, text) {
		return errors.New("must be " + listed(c.words))
	}
	return nil
}

func (c *choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Type makes --help show a choice as other strings.
func (*choice) Type() string { return "string" }

// listed joins words as "a, b or c".
func listed(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// CheckEnv checks an environment variable that stands for a flag made by AddChoice.
func CheckEnv(cmd *cobra.Command, flag, variable, text string) error {
	c, ok := cmd.Flag(flag).Value.(*choice)
	if !ok {
		panic(fmt.Sprintf("--%s is no choice", flag)) // a slip in this program
	}
	if err := c.check(text); err != nil {
		return Usage(cmd, "%s=%q: %w", variable, text, err)
	}
	return nil
}
