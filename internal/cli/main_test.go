package cli_test

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"nats-test/internal/brokertest"
	"nats-test/internal/cli"
	"nats-test/internal/cli/console"
)

const panicking = "CLI_TEST_PANICKING"

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	if os.Getenv(panicking) != "" {
		os.Exit(cli.Main(func(*console.System) *cobra.Command { panic("odds") }))
	}
	if err := flag.Set("test.parallel", "8"); err != nil { // most of a test is waiting
		panic(err)
	}
	code := m.Run()
	brokertest.RemovePrograms()
	os.Exit(code)
}

// A panic of a command is a failure, not the usage that Go's own exit code reads as.
func TestPanicIsAFailure(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{panicking + "=1"}
	out, _ := cmd.CombinedOutput() // its exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "a fault of this program: odds\n") {
		t.Errorf("exit code %d, says %q", code, out)
	}
}
