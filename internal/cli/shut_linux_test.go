package cli_test

import (
	"os/exec"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
)

// A closed stdout is refused at the start. Other closed streams, and /dev/null as
// stdout, are accepted, whichever program opened it.
func TestClosedStreams(t *testing.T) {
	t.Parallel()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	for _, test := range []struct {
		line string
		code int
	}{
		{"publish ticket:created --sample --create-stream >&-", 2},
		{"publish events check >&-", 2},
		{"publish --version >&-", 2},
		{"listen ticket:created --group g --until-end >&-", 2},
		{"listen status >&-", 2},
		{"listen doctor >&- 2>&-", 2},
		{"(publish --version) >&-", 2},
		{"{ exec >&-; publish --version; }", 2},
		{"publish ticket:created --sample --create-stream 2>&- <&-", 0},
		{"publish ticket:created --sample -q >/dev/null", 0},
		{"publish ticket:created --data - <&-", 4},
		{"(publish --version && true) 1<>/dev/null", 0},
		{"{ exec 1<>/dev/null; publish --version; }", 0},
		{"{ exec <>/dev/null; publish --version >&0; }", 0},
		{"listen ticket:created --group g --until-end 2>&- <&-", 0},
	} {
		cmd := exec.Command("bash", "-c", test.line+"; exit $?")
		cmd.Env = []string{"PATH=" + bin, "HOME=" + t.TempDir(), "NATS_URL=" + server.URL}
		var out, said strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &said
		_ = cmd.Run() // its exit code says it
		if code := cmd.ProcessState.ExitCode(); code != test.code {
			t.Errorf("%s: exit code %d, want %d:\n%s%s", test.line, code, test.code, out.String(), said.String())
		}
		if (test.code == 2 || test.code == 4) && !strings.Contains(test.line, "2>&-") && !strings.Contains(said.String(), " is closed") {
			t.Errorf("%s: says %q", test.line, said.String())
		}
	}
	js := server.JetStream()
	defer js.Conn().Close()
	stream, err := js.Stream(t.Context(), "ticket:created")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 2 {
		t.Errorf("%d events stored, want 2", n)
	}
	consumer, err := stream.Consumer(t.Context(), "g_ticket:created")
	if err != nil {
		t.Fatal(err)
	}
	if n := consumer.CachedInfo().Delivered.Consumer; n != 2 {
		t.Errorf("%d events delivered, want 2: the refused listener took some", n)
	}
	// Programs that discard another's output open /dev/null like this, but they are
	// not shells.
	other := exec.Command("bash", "-c", "exec publish --version 1<>/dev/null")
	other.Env = []string{"PATH=" + bin}
	if out, err := other.CombinedOutput(); err != nil {
		t.Errorf("/dev/null of no shell: %v\n%s", err, out)
	}
}
