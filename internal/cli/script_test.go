package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nats-test/internal/brokertest"
)

// TestScripts runs the user stories in testdata/script with the two real
// programs, each with a real server of its own. Beside testscript's commands
// there are:
//
//	code N PROGRAM ARG...  run a program that must exit with N
//	await FILE TEXT        wait until a file holds a text
//	server kill|restart    what happens to the server
func TestScripts(t *testing.T) {
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			server := brokertest.Start(t, serverFor(t, script))
			testscript.Run(t, testscript.Params{
				Files:               []string{script},
				RequireExplicitExec: true,
				Setup: func(env *testscript.Env) error {
					env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
					env.Setenv("NATS_URL", server.URL)
					env.Setenv("NATS_MONITOR_URL", server.Monitor)
					env.Setenv("HOME", env.WorkDir)
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"code": wantCode, "await": await(t),
					"server": func(ts *testscript.TestScript, _ bool, args []string) {
						switch args[0] {
						case "kill":
							server.Kill()
						case "restart":
							server.Restart()
						default:
							ts.Fatalf("unknown: server %s", args[0])
						}
					},
				},
			})
		})
	}
}

// serverFor reads a script's first line: "# server: plain", with a password,
// or nothing special.
func serverFor(t *testing.T, script string) brokertest.Config {
	t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	switch kind, _ := strings.CutPrefix(first, "# server: "); kind {
	case "plain":
		return brokertest.Config{Plain: true}
	case "other-cluster":
		return brokertest.Config{Cluster: "other"}
	case "password":
		// The server's own streaming clients need credentials, too.
		return brokertest.Config{
			Extra:          `authorization { user: ada, password: "s3cret" }`,
			StreamingExtra: "username: ada\n  password: s3cret",
		}
	}
	return brokertest.Config{}
}

func wantCode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARG...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func await(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		brokertest.Eventually(t, args[0]+" holds "+strconv.Quote(args[1]), func() bool {
			text, err := os.ReadFile(ts.MkAbs(args[0]))
			return err == nil && strings.Contains(string(text), args[1])
		})
	}
}
