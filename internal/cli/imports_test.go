package cli_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
)

// Imports go one way: cmd -> cli -> {conn, events, monitor} -> fault; and neither
// program links a server, or what tests alone need.
func TestImportsGoOneWay(t *testing.T) {
	allowed := map[string][]string{
		"nats-test/cmd/publish": {"nats-test/internal/cli"},
		"nats-test/cmd/listen":  {"nats-test/internal/cli"},
		"nats-test/internal/cli": {"nats-test/internal/conn", "nats-test/internal/conn/broker", "nats-test/internal/conn/link", "nats-test/internal/conn/doctor", "nats-test/internal/events", "nats-test/internal/fault", "nats-test/internal/monitor",
			"nats-test/internal/monitor/port", "nats-test/internal/monitor/streaming", "nats-test/internal/monitor/jetstream"},
		"nats-test/internal/conn": {"nats-test/internal/conn/broker", "nats-test/internal/conn/link", "nats-test/internal/conn/stan",
			"nats-test/internal/conn/jetstream", "nats-test/internal/fault"},
		"nats-test/internal/conn/stan":      {"nats-test/internal/conn/broker", "nats-test/internal/conn/link", "nats-test/internal/fault"},
		"nats-test/internal/conn/jetstream": {"nats-test/internal/conn/broker", "nats-test/internal/conn/link", "nats-test/internal/fault"},
		"nats-test/internal/conn/doctor": {"nats-test/internal/conn", "nats-test/internal/conn/broker", "nats-test/internal/conn/link", "nats-test/internal/conn/link/wire",
			"nats-test/internal/conn/stan", "nats-test/internal/conn/jetstream", "nats-test/internal/fault"},
		"nats-test/internal/conn/broker":       nil,
		"nats-test/internal/conn/link":         {"nats-test/internal/conn/broker", "nats-test/internal/conn/link/wire", "nats-test/internal/fault"},
		"nats-test/internal/conn/link/wire":    {"nats-test/internal/conn/broker", "nats-test/internal/fault"},
		"nats-test/internal/events":            {"nats-test/internal/fault"},
		"nats-test/internal/fault":             nil,
		"nats-test/internal/monitor":           {"nats-test/internal/fault"},
		"nats-test/internal/monitor/port":      {"nats-test/internal/fault"},
		"nats-test/internal/monitor/streaming": {"nats-test/internal/fault", "nats-test/internal/monitor", "nats-test/internal/monitor/port"},
		"nats-test/internal/monitor/jetstream": {"nats-test/internal/fault", "nats-test/internal/monitor", "nats-test/internal/monitor/port"},
		"nats-test/internal/soak":              {"nats-test/internal/brokertest"},
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
		if pkg == "github.com/bufbuild/protocompile" {
			t.Errorf("a program links %s, and not just its parts", pkg)
		}
		for _, unwanted := range []string{
			"github.com/nats-io/nats-server/", "github.com/nats-io/nats-streaming-server/", "nats-test/internal/brokertest",
			"nats-test/internal/kubetest", "github.com/moby/spdystream",
			"github.com/google/jsonschema-go/", "testing",
			"google.golang.org/protobuf/types/known/", // costs at every start, and so does the compiler's own package:
		} {
			if strings.HasPrefix(pkg+"/", unwanted+"/") || strings.HasPrefix(pkg, unwanted) && strings.HasSuffix(unwanted, "/") {
				t.Errorf("a program links %s", pkg)
			}
		}
	}
}

// Go's text/template could call any method by its name, so the linker drops
// none, and the programs are 4 MB bigger.
func TestNoTemplateIsLinked(t *testing.T) {
	dir, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"publish", "listen"} {
		symbols, err := exec.Command("go", "tool", "nm", filepath.Join(dir, program)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(symbols), " nats-test/internal/cli.Main") {
			t.Fatalf("%s has no symbols", program)
		}
		if strings.Contains(string(symbols), " text/template.(*state)") {
			t.Errorf("%s links text/template", program)
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
