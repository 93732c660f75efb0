package cli_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Imports go one way: cmd -> cli -> {conn, events, monitor}; and neither
// program links a server, or what tests alone need.
func TestImportsGoOneWay(t *testing.T) {
	allowed := map[string][]string{
		"nats-test/cmd/publish":      {"nats-test/internal/cli"},
		"nats-test/cmd/listen":       {"nats-test/internal/cli"},
		"nats-test/internal/cli":     {"nats-test/internal/conn", "nats-test/internal/events", "nats-test/internal/monitor"},
		"nats-test/internal/conn":    nil,
		"nats-test/internal/events":  nil,
		"nats-test/internal/monitor": nil,
	}
	for pkg, may := range allowed {
		for _, imported := range list(t, "{{join .Imports \"\\n\"}}", pkg) {
			if strings.HasPrefix(imported, "nats-test/") && !slices.Contains(may, imported) {
				t.Errorf("%s imports %s", pkg, imported)
			}
			if pkg == "nats-test/internal/events" && strings.HasPrefix(imported, "github.com/nats-io/") {
				t.Errorf("%s imports %s", pkg, imported)
			}
		}
	}
	for _, pkg := range list(t, "{{join .Deps \"\\n\"}}", "nats-test/cmd/publish", "nats-test/cmd/listen") {
		for _, unwanted := range []string{
			"github.com/nats-io/nats-server/", "github.com/nats-io/nats-streaming-server/", "nats-test/internal/brokertest",
			"github.com/santhosh-tekuri/", "testing",
		} {
			if strings.HasPrefix(pkg+"/", unwanted+"/") || strings.HasPrefix(pkg, unwanted) && strings.HasSuffix(unwanted, "/") {
				t.Errorf("a program links %s", pkg)
			}
		}
	}
}

func list(t *testing.T, format string, pkgs ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-f", format}, pkgs...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}
