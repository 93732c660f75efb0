package status

import (
	"strings"

	"al.essio.dev/pkg/shellescape"

	"nats-test/internal/monitor"
)

// hints are the commands to type for kinds of findings, with CLIENT for its client.
var hints = map[string]string{
	"absent":      "`listen status` without a subject shows what is there",
	"given-up":    "look at them with `listen --deliver seq:N SUBJECT`, or at what became of them",
	"dead-client": "`listen evict CLIENT` closes it at once",
	"hung-client": "look at it; `listen evict --force CLIENT` closes its session",
}

// addHints sets the hints of findings that call for a command.
func addHints(findings []monitor.Finding) {
	for i := range findings {
		if hint, ok := hints[findings[i].Kind]; ok {
			findings[i].Hint = strings.ReplaceAll(hint, "CLIENT", typed(findings[i].Client))
		}
	}
}

// typed quotes a name for a shell, as the last argument of a command. Clients choose
// their names, which may look like a flag or contain shell syntax.
func typed(name string) string {
	if strings.HasPrefix(name, "-") {
		return "-- " + shellescape.Quote(name)
	}
	return shellescape.Quote(name)
}
