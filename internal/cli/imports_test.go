package cli_test

import (
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
)

// Imports go one way: cmd -> cli, cli/{publish,listen} -> cli/… -> {worker, conn, events, monitor} -> fault; and neither
// program links a server, or what tests alone need.
func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	const module = "nats-test/internal/"
	allowed := map[string]string{
		"../cmd/publish":    "cli cli/publish",
		"../cmd/listen":     "cli cli/listen",
		"cli":               "cli/console cli/stdio fault",
		"cli/publish":       "cli/catalog cli/connect cli/console cli/record cli/source cli/stdio conn conn/broker events fault",
		"cli/listen":        "cli/catalog cli/connect cli/console cli/doctor cli/record cli/status cli/stdio cli/work conn conn/broker events fault monitor monitor/streaming",
		"cli/catalog":       "cli/console conn conn/broker events",
		"cli/connect":       "cli/console conn conn/broker conn/doctor conn/link monitor/port monitor/streaming",
		"cli/console":       "cli/stdio conn/broker events fault worker",
		"cli/doctor":        "cli/catalog cli/connect cli/console cli/stdio conn/broker conn/doctor conn/link events monitor/port",
		"cli/record":        "cli/console conn/broker",
		"cli/source":        "cli/console cli/record cli/stdio events",
		"cli/status":        "cli/connect cli/console cli/stdio conn conn/broker conn/link fault monitor monitor/jetstream monitor/streaming",
		"cli/stdio":         "conn/broker conn/link fault",
		"cli/work":          "cli/connect cli/console cli/record cli/stdio conn conn/broker fault worker worker/process",
		"conn":              "conn/broker conn/link conn/stan conn/jetstream fault",
		"conn/broker":       "",
		"conn/link":         "conn/broker conn/link/wire fault",
		"conn/link/wire":    "conn/broker fault",
		"conn/stan":         "conn/broker conn/link fault",
		"conn/jetstream":    "conn/broker conn/link fault",
		"conn/doctor":       "conn conn/broker conn/link conn/link/wire conn/stan conn/jetstream fault",
		"events":            "events/contract events/ticketing events/jsonschema events/protobuf events/avro",
		"events/contract":   "",
		"events/ticketing":  "",
		"events/jsonschema": "events/contract",
		"events/protobuf":   "events/contract",
		"events/avro":       "events/contract",
		"fault":             "",
		"monitor":           "fault",
		"monitor/port":      "fault",
		"monitor/streaming": "fault monitor monitor/port",
		"monitor/jetstream": "fault monitor monitor/port",
		"worker":            "conn conn/broker fault worker/process",
		"worker/process":    "fault",
		"soak":              "brokertest brokertest/netsim",
		"release":           "cli/console cli/listen cli/publish",
	}
	for name, may := range allowed {
		pkg := path.Join(module, name)
		for _, imported := range list(t, "{{join .Imports \"\\n\"}}", pkg) {
			if ours, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(strings.Fields(may), ours) {
				t.Errorf("%s imports %s", pkg, imported)
			}
			if strings.HasPrefix(pkg, "nats-test/internal/events") && strings.HasPrefix(imported, "github.com/nats-io/") {
				t.Errorf("%s imports %s", pkg, imported)
			}
		}
	}
	for _, pkg := range list(t, "{{join .Deps \"\\n\"}}", "nats-test/cmd/publish") {
		switch pkg {
		case "nats-test/internal/cli/work", "nats-test/internal/monitor/jetstream", "github.com/VictoriaMetrics/metrics":
			t.Errorf("publish links %s, which listen alone needs", pkg) // each start would cost more
		}
	}
	for _, pkg := range list(t, "{{join .Deps \"\\n\"}}", "nats-test/cmd/publish", "nats-test/cmd/listen") {
		if pkg == "github.com/bufbuild/protocompile" {
			t.Errorf("a program links %s, and not just its parts", pkg)
		}
		for _, unwanted := range []string{
			"github.com/nats-io/nats-server/", "github.com/nats-io/nats-streaming-server/", "nats-test/internal/brokertest",
			"nats-test/internal/kubetest", "github.com/moby/spdystream",
			"testing",
			"google.golang.org/protobuf/types/known/", // slow at every start, like protocompile's root package
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
	t.Parallel()
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
