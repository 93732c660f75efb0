//go:build unix

package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// A typed line is what a reader of the documents types, and what comes then.
type typedLine struct {
	at      int // its line in the page
	command string
	goesOn  bool     // in a terminal of its own
	code    int      // its exit code
	want    []string // … stands for any text in a line, or for any lines
}

var exitCode = regexp.MustCompile(`# exit code (\d+)`)

// typedLines returns what stands behind "$ " in the blocks of a page, in order.
func typedLines(page string) (lines []typedLine) {
	inside, typed := false, false
	for i, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "```") {
			inside, typed = !inside, false
			continue
		}
		command, prompt := strings.CutPrefix(line, "$ ")
		switch {
		case !inside:
		case prompt:
			l := typedLine{at: i + 1, command: command, goesOn: strings.Contains(command, "# one terminal")}
			if m := exitCode.FindStringSubmatch(command); m != nil {
				_, _ = fmt.Sscan(m[1], &l.code) // digits
			}
			lines, typed = append(lines, l), true
		case typed:
			last := &lines[len(lines)-1]
			last.want = append(last.want, line)
		}
	}
	return lines
}

// pattern returns what the output must look like, or begin with, if it goes on.
func (l typedLine) pattern() *regexp.Regexp {
	var b strings.Builder
	for _, line := range l.want {
		switch strings.TrimSpace(line) {
		case "…":
			b.WriteString(`(?:[^\n]*\n)*?`)
		case "":
			b.WriteString(`\s*`)
		default:
			b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`) + `\s*\n`)
		}
	}
	if l.goesOn {
		return regexp.MustCompile(`^` + b.String())
	}
	return regexp.MustCompile(`^` + b.String() + `\s*$`)
}

// The documents' transcripts are true: each line with "$ " is typed as it stands there,
// on a server of its own per page, and shows what stands below it.
func TestDocs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	typed := 0
	for _, name := range append(pages, "../../README.md") {
		if filepath.Base(name) == "kubernetes.md" {
			continue // it needs a cluster: package scripts has one
		}
		text := string(page(t, name))
		lines := typedLines(text)
		if typed += len(lines); len(lines) == 0 {
			continue
		}
		config := brokertest.Config{JetStream: strings.Contains(text, "--backend jetstream")}
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			r := &reader{t: t, dir: t.TempDir(), server: brokertest.Start(t, config)}
			r.env = []string{
				"PATH=" + filepath.Dir(programPath(t, "listen")) + ":" + os.Getenv("PATH"), "HOME=" + r.dir,
				"NATS_URL=" + r.server.URL, "NATS_MONITOR_URL=" + r.server.Monitor,
			}
			for _, l := range lines {
				r.types(l)
			}
			r.looksBack()
		})
	}
	if typed < 30 {
		t.Errorf("%d lines were typed in all", typed)
	}
}

// A reader has a folder and a server, and leaves programs running.
type reader struct {
	t      *testing.T
	dir    string
	env    []string
	server *brokertest.Server
	left   []left
}

// left is a program that goes on, and its output.
type left struct {
	line typedLine
	out  *outputFile
}

func (r *reader) types(l typedLine) {
	r.t.Helper()
	word, rest, _ := strings.Cut(l.command, " ")
	switch word {
	case "export":
		r.env = append(r.env, strings.Fields(rest)[0])
		return
	case "cat": // what a file holds is written before
		name := filepath.Join(r.dir, rest)
		if _, err := os.Stat(name); err == nil {
			break
		}
		if err := os.WriteFile(name, []byte(strings.Join(l.want, "\n")+"\n"), 0o700); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	out := newOutputFile(r.t, filepath.Join(r.t.TempDir(), "output"))
	cmd := exec.Command("bash", "-c", l.command)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, r.env, out.to, out.to
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	if l.goesOn {
		r.left = append(r.left, left{l, out})
		r.t.Cleanup(func() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			_ = cmd.Wait()
		})
		brokertest.Eventually(r.t, "it listens", func() bool { return strings.Contains(out.all(), "listening to") })
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != l.code) || err == nil && l.code != 0 {
			r.t.Fatalf("line %d: %s: %v, want exit code %d\n%s", l.at, l.command, err, l.code, out.all())
		}
	case <-time.After(30 * time.Second):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		r.t.Fatalf("line %d: %s: it does not end: %v\n%s", l.at, l.command, <-ended, out.all())
	}
	if got := r.shown(out); !l.pattern().MatchString(got) {
		r.t.Fatalf("line %d: %s shows\n%s\nand the page\n%s", l.at, l.command, got, strings.Join(l.want, "\n"))
	}
}

// shown is an output as it would be on the usual ports.
func (r *reader) shown(out *outputFile) string {
	text := strings.ReplaceAll(strings.TrimSpace(out.all())+"\n", r.server.Monitor, "http://127.0.0.1:8222")
	return strings.ReplaceAll(strings.ReplaceAll(text, r.server.URL, "nats://127.0.0.1:4222"), strings.TrimPrefix(r.server.URL, "nats://"), "127.0.0.1:4222")
}

// looksBack waits until the programs that go on have shown what the page says.
func (r *reader) looksBack() {
	r.t.Helper()
	for _, l := range r.left {
		shown := func() bool { return l.line.pattern().MatchString(r.shown(l.out)) }
		defer func() {
			if !shown() {
				r.t.Logf("line %d: %s shows\n%s\nand the page\n%s", l.line.at, l.line.command, r.shown(l.out), strings.Join(l.line.want, "\n"))
			}
		}()
		brokertest.Eventually(r.t, "what the page says", shown)
	}
}

// The README is short, and links lead somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	const mostWords = 1500
	if n := len(strings.Fields(string(page(t, "../../README.md")))); n > mostWords {
		t.Errorf("README.md has %d words", n)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(pages, "../../README.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md") {
		for _, m := range regexp.MustCompile(`\]\(([^):]*)\)`).FindAllSubmatch(page(t, name), -1) {
			file, anchor, _ := strings.Cut(string(m[1]), "#")
			to := name
			if file != "" {
				to = filepath.Join(filepath.Dir(name), file)
			}
			if info, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			} else if anchor != "" && (info.IsDir() || !slices.Contains(anchors(page(t, to)), anchor)) {
				t.Errorf("%s links to %s, which has no such heading", name, m[1])
			}
		}
	}
}

func page(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// anchors are the names that a page's headings have in links.
func anchors(page []byte) (names []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllSubmatch(page, -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(string(heading[1])), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
