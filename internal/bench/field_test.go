package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// A field is a server, our programs that compete on it, and where the results
// are written. Who they compete with is up to the kind of field.
type field struct {
	b      *testing.B
	server *brokertest.Server
	bin    string
	env    []string // of our programs
	table  *table
}

func newField(b *testing.B, config brokertest.Config, results *table) *field {
	b.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		b.Fatal(err)
	}
	server := brokertest.Start(b, config)
	env := append(os.Environ(), "NATS_URL="+server.URL, "NATS_MONITOR_URL="+server.Monitor)
	return &field{b, server, bin, env, results}
}

func (f *field) row(format string, args ...any) {
	f.table.rows = append(f.table.rows, fmt.Sprintf(format, args...))
}

// A comparison is what its row says; figure is the format of a result.
type comparison struct{ what, with, figure, promise string }

// compare writes the row of n rounds, each of which returns a result of ours
// and one of theirs.
func (f *field) compare(n int, c comparison, round func(i int) (ours, theirs float64)) {
	f.b.Helper()
	var ours, theirs, ratios []float64
	for i := range n {
		a, b := round(i)
		ours, theirs, ratios = append(ours, a), append(theirs, b), append(ratios, a/b)
		sample(f.b.Name()+"/against="+c.with, a/b, "ratio")
	}
	ratio := median(ratios)
	f.b.ReportMetric(ratio, "ratio")
	f.row("| %s | "+c.figure+" | %s "+c.figure+" | %.2f | %s |", c.what, median(ours), c.with, median(theirs), ratio, c.promise)
}

// run runs cmd and returns what it took, from start to exit, and its output.
func (f *field) run(cmd *exec.Cmd) (time.Duration, string) {
	f.b.Helper()
	var out bytes.Buffer
	cmd.Stderr = &out
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		f.b.Fatalf("%s: %v\n%s", cmd, err, out.String())
	}
	return time.Since(begin), out.String()
}

// milliseconds runs cmd and returns what it took.
func (f *field) milliseconds(cmd *exec.Cmd) float64 {
	f.b.Helper()
	took, _ := f.run(cmd)
	return took.Seconds() * 1000
}

// rate runs a benchmark of theirs and returns the rate that it prints for
// which, as in "Pub stats: 123,456 msgs/sec".
func (f *field) rate(cmd *exec.Cmd, which string) float64 {
	f.b.Helper()
	_, out := f.run(cmd)
	found := regexp.MustCompile(regexp.QuoteMeta(which) + ` stats: ([0-9,]+) msgs/sec`).FindStringSubmatch(out)
	if found == nil {
		f.b.Fatalf("no rate in %s", out)
	}
	rate, err := strconv.ParseFloat(strings.ReplaceAll(found[1], ",", ""), 64)
	if err != nil {
		f.b.Fatal(err)
	}
	return rate
}

// ours returns one of our programs, to be run.
func (f *field) ours(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(f.bin, program), args...)
	cmd.Env = f.env
	return cmd
}

// publishing returns a publish that reads input, to be run.
func (f *field) publishing(input *os.File, subject string) *exec.Cmd {
	f.b.Helper()
	if _, err := input.Seek(0, io.SeekStart); err != nil {
		f.b.Fatal(err)
	}
	cmd := f.ours("publish", subject, "--data", "-")
	cmd.Stdin, cmd.Stdout = input, f.output()
	return cmd
}

// publish publishes many events, those of input, and returns the rate from start to exit.
func (f *field) publish(input *os.File, subject string) float64 {
	f.b.Helper()
	took, _ := f.run(f.publishing(input, subject))
	return many / took.Seconds()
}

// listening returns a listen that writes to out, to be run.
func (f *field) listening(out *os.File, subject string, args ...string) *exec.Cmd {
	cmd := f.ours("listen", append([]string{subject, "--until-end", "-o", "json"}, args...)...)
	cmd.Stdout = out
	return cmd
}

// listen writes the events of ticket:created to a file, checks that it got them all, and returns
// the rate from start to exit.
func (f *field) listen(args ...string) float64 {
	f.b.Helper()
	out := f.output()
	took, _ := f.run(f.listening(out, "ticket:created", args...))
	f.countLines(out, many)
	return many / took.Seconds()
}

// input returns a file with as many events as most rates are measured with.
func (f *field) input() *os.File {
	f.b.Helper()
	file := f.file("events.ndjson")
	// Not all at once: a child's peak memory counts from that of its parent.
	text := bufio.NewWriter(file)
	for i := range many {
		if _, err := fmt.Fprintln(text, event(i)); err != nil {
			f.b.Fatal(err)
		}
	}
	if err := text.Flush(); err != nil {
		f.b.Fatal(err)
	}
	return file
}

// output returns an empty file.
func (f *field) output() *os.File {
	f.b.Helper()
	return f.file("out")
}

func (f *field) file(name string) *os.File {
	f.b.Helper()
	file, err := os.Create(filepath.Join(f.b.TempDir(), name))
	if err != nil {
		f.b.Fatal(err)
	}
	f.b.Cleanup(func() { _ = file.Close() })
	return file
}

func (f *field) countLines(out *os.File, want int) {
	f.b.Helper()
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		f.b.Fatal(err)
	}
	got := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		got++
	}
	if got != want {
		f.b.Fatalf("%d events came, of %d", got, want)
	}
}
