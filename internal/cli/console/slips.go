package console

import (
	"errors"

	"github.com/spf13/cobra"

	"nats-test/internal/events"
)

// OrCommand adds to err the command that a subject may have been meant for, if the
// catalogue has no such event, or on a usage error.
func OrCommand(cmd *cobra.Command, word string, err error) error {
	_, unknown := errors.AsType[*events.UnknownError](err)
	if err == nil || !unknown && !errors.Is(err, ErrUsage) {
		return err
	}
	const most = 2 // cobra's own limit for suggestions
	cmd.SuggestionsMinimumDistance = most
	near := cmd.SuggestionsFor(word)
	if len(near) == 0 || len(word) < most {
		return err
	}
	return Hinted(err, "did you mean the command `%s %s`? otherwise: %s", cmd.Name(), near[0], HintFor(err))
}
