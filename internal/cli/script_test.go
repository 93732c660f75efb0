package cli_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/events"
)

// TestScripts runs the user stories in testdata/script with the two real
// programs, on both backends, each with a real server of its own. JetStream
// has a stream for every subject of the catalogue, as NATS Streaming has a
// channel: the sequences are the same. What can't be the same on both stands
// behind the conditions [stan] and [jetstream]. Beside testscript's commands
// there are:
//
//	code N PROGRAM ARG...  run a program that must exit with N
//	await FILE TEXT        wait until a file holds a text
//	server kill|restart    what happens to the server
//	stream NAME SUBJECT[,SUBJECT...] [max-msgs N] [sealed]
//	                       make or change a JetStream stream; a full one refuses events
//	stored STREAM N        print the N-th event of a JetStream stream with its headers
//	readme LINE FILE       write a program or command of docs/handlers.md to a file: see readme
//
// A script may begin with lines that say what it needs:
//
//	# backend: stan|jetstream|both|none  it runs once, with a server that has just this
//	# server: password|other-cluster|limits  what else is special about the server
//	# streams: none|SUBJECT...           no streams, or those for other subjects, too
//	# needs: TOOL...                     see needTools
func TestScripts(t *testing.T) {
	t.Parallel()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, backend := range []string{"stan", "jetstream", "both", "none"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			for _, file := range files {
				s := newScript(t, file, backend)
				if !slices.Contains(s.backends, backend) {
					continue
				}
				testscript.Run(t, testscript.Params{
					Files:               []string{file},
					RequireExplicitExec: true,
					Condition: func(name string) (bool, error) {
						if name != "stan" && name != "jetstream" {
							return false, errors.New("unknown condition: " + name)
						}
						return name == backend, nil
					},
					Setup: func(env *testscript.Env) error {
						s.start(env.T().(testing.TB)) // as Env.T says
						env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
						env.Setenv("NATS_URL", s.server.URL)
						env.Setenv("NATS_MONITOR_URL", s.server.Monitor)
						env.Setenv("HOME", env.WorkDir)
						env.Setenv("GORACE", "atexit_sleep_ms=10") // a second by default, for each of many programs
						return nil
					},
					Cmds: map[string]func(*testscript.TestScript, bool, []string){
						"code": cmdCode, "await": s.cmdAwait, "server": s.cmdServer, "stream": s.cmdStream, "stored": s.cmdStored,
						"readme": cmdReadme,
					},
				})
			}
		})
	}
}

// A script is one run of a script on one backend.
type script struct {
	backends []string
	subjects []string // of the streams at the start
	tools    []string // that it needs
	config   brokertest.Config
	login    []nats.Option // for the test's own connections
	t        testing.TB    // of this run
	server   *brokertest.Server
}

// newScript reads the first lines of a script.
func newScript(t *testing.T, file, backend string) *script {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{
		backends: []string{"stan", "jetstream"},
		subjects: events.Ticketing().Subjects(),
		config: brokertest.Config{
			Plain:     backend == "jetstream" || backend == "none",
			JetStream: backend == "jetstream" || backend == "both",
		},
	}
	for line := range strings.Lines(string(text)) {
		line, isComment := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if !isComment {
			break
		}
		switch key, value, _ := strings.Cut(line, ": "); {
		case key == "backend":
			s.backends = []string{value}
		case key == "streams" && value == "none":
			s.subjects = nil
		case key == "streams":
			s.subjects = append(s.subjects, strings.Fields(value)...)
		case key == "needs":
			s.tools = strings.Fields(value)
		case key == "server" && value == "other-cluster":
			s.config.Cluster = "other"
		case key == "server" && value == "limits":
			s.config.Extra = `accounts { A { users: [{user: ada, password: "s3cret"}]
				jetstream: { max_streams: 2, max_consumers: 1, max_bytes_required: true, store: 1M } } }
				no_auth_user: ada`
		case key == "server" && value == "password":
			s.config.Extra = `authorization { user: ada, password: "s3cret" }`
			// The server's own streaming clients need credentials, too.
			s.config.StreamingExtra = "username: ada\n  password: s3cret"
			s.login = append(s.login, nats.UserInfo("ada", "s3cret"))
		}
	}
	return s
}

// start starts the server, with its streams.
func (s *script) start(t testing.TB) {
	t.Helper()
	needTools(t, s.tools...)
	s.t, s.server = t, brokertest.Start(t, s.config)
	if !s.config.JetStream {
		return
	}
	for _, subject := range s.subjects {
		if err := s.stream(conn.NewStream(subject, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

// stream makes a stream, or changes one.
func (s *script) stream(config jetstream.StreamConfig) error {
	return s.ask(func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, config)
		return err
	})
}

// ask lets do use JetStream for a moment.
func (s *script) ask(do func(context.Context, jetstream.JetStream) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	js := s.server.JetStream(s.login...)
	defer js.Conn().Close()
	return do(ctx, js)
}

func (s *script) cmdServer(ts *testscript.TestScript, _ bool, args []string) {
	switch strings.Join(args, " ") {
	case "kill":
		s.server.Kill()
	case "restart":
		s.server.Restart()
	default:
		ts.Fatalf("usage: server kill|restart")
	}
}

func (s *script) cmdStream(ts *testscript.TestScript, _ bool, args []string) {
	const use = "usage: stream NAME SUBJECT[,SUBJECT...] [max-msgs N] [sealed], or NAME - mirror|source STREAM"
	if len(args) < 2 {
		ts.Fatalf(use)
	}
	config := conn.NewStream(args[1], 1)
	config.Name, config.Subjects = args[0], strings.Split(args[1], ",")
	if args[1] == "-" {
		config.Subjects = nil
	}
	for rest := args[2:]; len(rest) > 0; rest = rest[1:] {
		switch {
		case rest[0] == "sealed":
			ts.Check(s.stream(config)) // a new one can't be sealed
			config.Sealed = true
		case rest[0] == "mirror" && len(rest) > 1:
			config.Mirror, config.Duplicates = &jetstream.StreamSource{Name: rest[1]}, 0
			rest = rest[1:]
		case rest[0] == "source" && len(rest) > 1:
			config.Sources = []*jetstream.StreamSource{{Name: rest[1]}}
			rest = rest[1:]
		case rest[0] == "max-msgs" && len(rest) > 1:
			n, err := strconv.ParseInt(rest[1], 10, 64)
			ts.Check(err)
			config.MaxMsgs, config.Discard = n, jetstream.DiscardNew
			rest = rest[1:]
		default:
			ts.Fatalf(use)
		}
	}
	ts.Check(s.stream(config))
}

func (s *script) cmdStored(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: stored STREAM N")
	}
	n, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	ts.Check(s.ask(func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, args[0])
		if err != nil {
			return err
		}
		m, err := stream.GetMsg(ctx, n)
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(m.Header)) {
			for _, value := range m.Header[key] {
				_, _ = fmt.Fprintf(ts.Stdout(), "%s: %s\n", key, value)
			}
		}
		_, err = fmt.Fprintf(ts.Stdout(), "%s %s\n", m.Subject, m.Data)
		return err
	}))
}

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func (s *script) cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	var text []byte
	defer func() {
		if s.t.Failed() {
			ts.Logf("%s holds:\n%s", args[0], text)
		}
	}()
	brokertest.Eventually(s.t, fmt.Sprintf("%s holds %q", args[0], args[1]), func() bool {
		text, _ = os.ReadFile(ts.MkAbs(args[0])) // it may not exist yet
		return strings.Contains(string(text), args[1])
	})
}
