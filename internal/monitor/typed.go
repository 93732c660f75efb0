package monitor

import (
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// typed writes a name as the last argument of a command that is to be typed:
// others chose it, and may have made it of what a shell or a flag is made of.
func typed(name string) string {
	if strings.HasPrefix(name, "-") {
		return "-- " + shellescape.Quote(name)
	}
	return shellescape.Quote(name)
}
