// Package bench measures the two programs against the examples of stan.go, in
// one run, on one server: `make bench`. What it prints is the README's table.
package bench

import (
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
	"syscall"
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
	var text bytes.Buffer
	for i := range n {
		text.WriteString(event(i) + "\n")
	}
	if _, err := file.Write(text.Bytes()); err != nil {
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

// publish publishes the events of input, and returns the rate from start to
// exit, and the peak memory in MiB.
func (f *field) publish(input *os.File, subject string, n int) (rate, peak float64) {
	f.b.Helper()
	if _, err := input.Seek(0, io.SeekStart); err != nil {
		f.b.Fatal(err)
	}
	cmd := f.ours("publish", subject, "--data", "-")
	cmd.Stdin, cmd.Stdout = input, f.output()
	took, _ := f.run(cmd)
	return float64(n) / took.Seconds(), peakOf(cmd)
}

// listen writes n events to a file, checks that it got them all, and returns
// the rate from start to exit, and the peak memory in MiB.
func (f *field) listen(subject string, n int, args ...string) (rate, peak float64) {
	f.b.Helper()
	out := f.output()
	cmd := f.ours("listen", append([]string{subject, "--until-end", "-o", "json"}, args...)...)
	cmd.Stdout = out
	took, _ := f.run(cmd)
	text, err := os.ReadFile(out.Name())
	if err != nil {
		f.b.Fatal(err)
	}
	if got := bytes.Count(text, []byte("\n")); got != n {
		f.b.Fatalf("%d events came, of %d", got, n)
	}
	return float64(n) / took.Seconds(), peakOf(cmd)
}

func peakOf(cmd *exec.Cmd) float64 {
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return float64(usage.Maxrss) / 1024 // KiB on Linux
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
		a, _ := f.publish(input, []string{"ticket:created", "ticket:updated"}[i%2], many)
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
		a, _ := f.listen("ticket:created", many)
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
			rate, _ := f.listen("ticket:created", many, "--max-in-flight", strconv.Itoa(n))
			rates = append(rates, rate)
		}
		cells = append(cells, fmt.Sprintf("%d: %.0f/s", n, median(rates)))
		b.ReportMetric(median(rates), fmt.Sprintf("events/s@%d", n))
	}
	fmt.Println("\n--max-in-flight, events/s:", strings.Join(cells, ", "))
}

func BenchmarkMemory(b *testing.B) {
	f := newField(b)
	const million = 1_000_000
	hundred, all := f.input(many), f.input(million)
	_, publishMany := f.publish(hundred, "ticket:updated", many)
	_, publishMillion := f.publish(all, "ticket:created", million)
	_, listenMany := f.listen("ticket:updated", many)
	_, listenMillion := f.listen("ticket:created", million)
	for name, peak := range map[string][2]float64{
		"publish": {publishMany, publishMillion}, "listen": {listenMany, listenMillion},
	} {
		b.ReportMetric(peak[1], name+"-MiB")
		row("| peak memory of `%s`, 1,000,000 events | %.1f MiB | its own with 100,000: %.1f MiB | %.2f | < 40 MB |",
			name, peak[1], peak[0], peak[1]/peak[0])
	}
}
