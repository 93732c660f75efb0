// Package bench measures the two programs against the examples of stan.go, in
// one run, on one server: `make bench`. What it prints is the README's table.
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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

const (
	many   = 100_000
	rounds = 7 // of each comparison; the median counts
	starts = 31
)

// rows is the table, printed when all is measured.
var rows []string

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	code := m.Run()
	brokertest.RemovePrograms()
	if len(rows) > 0 {
		fmt.Println("\n| what | ours | theirs | ratio | promise |\n|---|---|---|---|---|\n" + strings.Join(rows, "\n"))
	}
	os.Exit(code)
}

// event is what is published, the n-th. All are equally long.
func event(n int) string {
	return fmt.Sprintf(`{"id":"ticket-%07d","version":1,"title":"Concert in the great hall, row 12","price":20.5,"userId":"user-%08d"}`, n, n)
}

// A field is a server and the programs that compete on it.
type field struct {
	b      *testing.B
	server *brokertest.Server
	bin    string
}

func newField(b *testing.B) *field {
	b.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		b.Fatal(err)
	}
	return &field{b, brokertest.Start(b, brokertest.Config{}), bin}
}

// ours returns one of our programs, to be run.
func (f *field) ours(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(f.bin, program), args...)
	cmd.Env = append(os.Environ(), "NATS_URL="+f.server.URL, "NATS_MONITOR_URL="+f.server.Monitor)
	return cmd
}

// theirs returns one of stan.go's examples, to be run.
func (f *field) theirs(program string, args ...string) *exec.Cmd {
	f.b.Helper()
	path, err := exec.Command("go", "tool", "-n", program).Output()
	if err != nil {
		f.b.Fatal(err)
	}
	return exec.Command(strings.TrimSpace(string(path)), append([]string{"-s", f.server.URL, "-c", "ticketing"}, args...)...)
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

// watched is run that also returns the program's peak memory in MiB, read from
// Linux while it runs: what wait4 tells counts from the peak of the parent.
func (f *field) watched(cmd *exec.Cmd) (peak float64) {
	f.b.Helper()
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		f.b.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case err := <-exited:
			tick.Stop()
			if err != nil || peak == 0 {
				f.b.Fatalf("%s: %v, peak %v MiB", cmd, err, peak)
			}
			return peak
		case <-tick.C:
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status); found != nil {
				kib, _ := strconv.ParseFloat(string(found[1]), 64)
				peak = max(peak, kib/1024)
			}
		}
	}
}

// rate runs stan-bench and returns the rate that it prints for "Pub" or "Sub".
func (f *field) rate(which string, args ...string) float64 {
	f.b.Helper()
	_, out := f.run(f.theirs("stan-bench", args...))
	found := regexp.MustCompile(which + ` stats: ([0-9,]+) msgs/sec`).FindStringSubmatch(out)
	if found == nil {
		f.b.Fatalf("no rate in %s", out)
	}
	rate, err := strconv.ParseFloat(strings.ReplaceAll(found[1], ",", ""), 64)
	if err != nil {
		f.b.Fatal(err)
	}
	return rate
}

// input returns a file with n events.
func (f *field) input(n int) *os.File {
	f.b.Helper()
	file, err := os.Create(filepath.Join(f.b.TempDir(), "events.ndjson"))
	if err != nil {
		f.b.Fatal(err)
	}
	f.b.Cleanup(func() { _ = file.Close() })
	// Not all at once: a child's peak memory counts from that of its parent.
	text := bufio.NewWriter(file)
	for i := range n {
		if _, err := fmt.Fprintln(text, event(i)); err != nil {
			f.b.Fatal(err)
		}
	}
	if err := text.Flush(); err != nil {
		f.b.Fatal(err)
	}
	return file
}

// output returns a file for n records.
func (f *field) output() *os.File {
	f.b.Helper()
	file, err := os.Create(filepath.Join(f.b.TempDir(), "out"))
	if err != nil {
		f.b.Fatal(err)
	}
	f.b.Cleanup(func() { _ = file.Close() })
	return file
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

// publish publishes the events of input, and returns the rate from start to exit.
func (f *field) publish(input *os.File, subject string, n int) float64 {
	f.b.Helper()
	took, _ := f.run(f.publishing(input, subject))
	return float64(n) / took.Seconds()
}

// listening returns a listen that writes to out, to be run.
func (f *field) listening(out *os.File, subject string, args ...string) *exec.Cmd {
	cmd := f.ours("listen", append([]string{subject, "--until-end", "-o", "json"}, args...)...)
	cmd.Stdout = out
	return cmd
}

// listen writes n events to a file, checks that it got them all, and returns
// the rate from start to exit.
func (f *field) listen(subject string, n int, args ...string) float64 {
	f.b.Helper()
	out := f.output()
	took, _ := f.run(f.listening(out, subject, args...))
	f.countLines(out, n)
	return float64(n) / took.Seconds()
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

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func row(format string, args ...any) { rows = append(rows, fmt.Sprintf(format, args...)) }

func BenchmarkOneEvent(b *testing.B) {
	f := newField(b)
	var ours, theirs, ratios []float64
	for range starts {
		a, _ := f.run(f.ours("publish", "ticket:created", "--data", event(1)))
		c, _ := f.run(f.theirs("stan-pub", "ticket:created", event(1)))
		ours, theirs = append(ours, a.Seconds()*1000), append(theirs, c.Seconds()*1000)
		ratios = append(ratios, a.Seconds()/c.Seconds())
	}
	b.ReportMetric(median(ratios), "ratio")
	row("| one `publish`, start to exit | %.1f ms | stan-pub %.1f ms | %.2f | ≤ 1.3 |", median(ours), median(theirs), median(ratios))
}

func BenchmarkPublish(b *testing.B) {
	f := newField(b)
	input := f.input(many)
	var ours, theirs, ratios []float64
	for i := range rounds {
		size := strconv.Itoa(len(event(1)))
		c := f.rate("Pub", "-np", "1", "-ns", "0", "-n", strconv.Itoa(many), "-ms", size, fmt.Sprint("theirs-", i))
		a := f.publish(input, []string{"ticket:created", "ticket:updated"}[i%2], many)
		ours, theirs, ratios = append(ours, a), append(theirs, c), append(ratios, a/c)
	}
	b.ReportMetric(median(ratios), "ratio")
	row("| 100,000 events through `publish --data -` | %.0f/s | stan-bench, asynchronous %.0f/s | %.2f | ≥ 0.9 |",
		median(ours), median(theirs), median(ratios))
}

func BenchmarkListen(b *testing.B) {
	f := newField(b)
	f.publish(f.input(many), "ticket:created", many)
	var ours, theirs, ratios []float64
	for range rounds {
		size := strconv.Itoa(len(event(1)))
		c := f.rate("Sub", "-np", "0", "-ns", "1", "-n", strconv.Itoa(many), "-ms", size, "ticket:created")
		a := f.listen("ticket:created", many)
		ours, theirs, ratios = append(ours, a), append(theirs, c), append(ratios, a/c)
	}
	b.ReportMetric(median(ratios), "ratio")
	row("| 100,000 events through `listen --until-end -o json > file` | %.0f/s | stan-bench, subscriber %.0f/s | %.2f | ≥ 0.9 |",
		median(ours), median(theirs), median(ratios))
}

// BenchmarkMaxInFlight is what the default of --max-in-flight was chosen by.
func BenchmarkMaxInFlight(b *testing.B) {
	f := newField(b)
	f.publish(f.input(many), "ticket:created", many)
	var cells []string
	for _, n := range []int{64, 256, 1024, 2048, 4096, 8192, 16384} {
		var rates []float64
		for range 5 {
			rates = append(rates, f.listen("ticket:created", many, "--max-in-flight", strconv.Itoa(n)))
		}
		cells = append(cells, fmt.Sprintf("%d: %.0f/s", n, median(rates)))
		b.ReportMetric(median(rates), fmt.Sprintf("events/s@%d", n))
	}
	fmt.Println("\n--max-in-flight, events/s:", strings.Join(cells, ", "))
}

func BenchmarkMemory(b *testing.B) {
	f := newField(b)
	const million = 1_000_000
	published := func(n int, subject string) float64 { return f.watched(f.publishing(f.input(n), subject)) }
	listened := func(n int, subject string) float64 {
		out := f.output()
		peak := f.watched(f.listening(out, subject))
		f.countLines(out, n)
		return peak
	}
	for _, measure := range []struct {
		name string
		peak func(n int, subject string) float64
	}{{"publish", published}, {"listen", listened}} {
		less, all := measure.peak(many, "ticket:updated"), measure.peak(million, "ticket:created")
		b.ReportMetric(all, measure.name+"-MiB")
		row("| peak memory of `%s`, 1,000,000 events | %.1f MiB | its own with 100,000: %.1f MiB | %.2f | < 40 MB |",
			measure.name, all, less, all/less)
	}
}
