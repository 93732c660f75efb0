package bench

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
)

// streaming is a field with NATS Streaming, where stan.go's examples compete.
type streaming struct{ *field }

// unlimited keeps the server from dropping events: by default a channel keeps a million.
const unlimited = "store_limits { max_msgs: 0, max_bytes: 0 }"

func newStreaming(b *testing.B) streaming {
	b.Helper()
	return streaming{newField(b, brokertest.Config{StreamingExtra: unlimited}, streamingTable)}
}

// newStreamingInMemory returns a field whose server keeps events in memory, so
// that the client is the limit.
func newStreamingInMemory(b *testing.B) streaming {
	b.Helper()
	return streaming{newField(b, brokertest.Config{Memory: true, StreamingExtra: unlimited}, streamingTable)}
}

// theirs returns one of the examples, to be run.
func (f streaming) theirs(program string, args ...string) *exec.Cmd {
	f.b.Helper()
	path, err := exec.Command("go", "tool", "-n", program).Output()
	if err != nil {
		f.b.Fatal(err)
	}
	return exec.Command(strings.TrimSpace(string(path)), append([]string{"-s", f.server.URL, "-c", "ticketing"}, args...)...)
}

// bench returns stan-bench with so many events as ours are, to be run.
func (f streaming) bench(publishers, subscribers int, args ...string) *exec.Cmd {
	f.b.Helper()
	return f.theirs("stan-bench", append([]string{
		"-np", strconv.Itoa(publishers), "-ns", strconv.Itoa(subscribers),
		"-n", strconv.Itoa(many), "-ms", strconv.Itoa(len(event(1))),
	}, args...)...)
}

func BenchmarkOneEvent(b *testing.B) {
	f := newStreaming(b)
	c := comparison{"one `publish`, start to exit", "stan-pub", "%.1f ms", "≤ 1.3"}
	f.compare(starts, c, func(int) (ours, theirs float64) {
		ours = f.milliseconds(f.ours("publish", "ticket:created", "--data", event(1)))
		theirs = f.milliseconds(f.theirs("stan-pub", "ticket:created", event(1)))
		return ours, theirs
	})
}

func BenchmarkPublish(b *testing.B) {
	newStreaming(b).comparePublish("100,000 events through `publish --data -`")
}

func BenchmarkPublishToMemory(b *testing.B) {
	newStreamingInMemory(b).comparePublish("the same, on a memory store")
}

func (f streaming) comparePublish(what string) {
	f.b.Helper()
	input := f.input()
	c := comparison{what, "stan-bench, asynchronous", "%.0f/s", "≥ 0.9"}
	f.compare(rounds, c, func(i int) (ours, theirs float64) {
		theirs = f.rate(f.bench(1, 0, fmt.Sprint("theirs-", i)), "Pub")
		ours = f.publish(input, []string{"ticket:created", "ticket:updated"}[i%2])
		return ours, theirs
	})
}

func BenchmarkListen(b *testing.B) {
	f := newStreaming(b)
	f.publish(f.input(), "ticket:created")
	c := comparison{"100,000 events through `listen --until-end -o json > file`", "stan-bench, subscriber", "%.0f/s", "≥ 0.9"}
	f.compare(rounds, c, func(int) (ours, theirs float64) {
		theirs = f.rate(f.bench(0, 1, "ticket:created"), "Sub")
		ours = f.listen()
		return ours, theirs
	})
}

// BenchmarkMaxInFlight is what the default of --max-in-flight was chosen by.
func BenchmarkMaxInFlight(b *testing.B) {
	f := newStreaming(b)
	f.publish(f.input(), "ticket:created")
	var cells []string
	for _, n := range []int{64, 256, 1024, 2048, 4096, 8192, 16384} {
		var rates []float64
		for range 5 {
			rates = append(rates, f.listen("--max-in-flight", strconv.Itoa(n)))
		}
		cells = append(cells, fmt.Sprintf("%d: %.0f/s", n, median(rates)))
		b.ReportMetric(median(rates), fmt.Sprintf("events/s@%d", n))
	}
	fmt.Println("\n--max-in-flight, events/s:", strings.Join(cells, ", "))
}

// BenchmarkMemory compares the peak memory of ten million events with that of a
// hundredth. They come and go through pipes.
func BenchmarkMemory(b *testing.B) {
	f := newStreaming(b)
	const most = 10_000_000
	published := func(n int, subject string) float64 {
		cmd := f.ours("publish", subject, "--data", "-")
		cmd.Stdin = &generated{left: n}
		return f.watched(cmd)
	}
	listened := func(n int, subject string) float64 {
		var lines counter
		cmd := f.ours("listen", subject, "--until-end", "-o", "json")
		cmd.Stdout = &lines
		peak := f.watched(cmd)
		if int(lines) != n {
			b.Fatalf("%d events came, of %d", lines, n)
		}
		return peak
	}
	for _, measure := range []struct {
		name string
		peak func(n int, subject string) float64
	}{{"publish", published}, {"listen", listened}} {
		less, all := measure.peak(many, "ticket:updated"), measure.peak(most, "ticket:created")
		b.ReportMetric(all, measure.name+"-MiB")
		sample(b.Name()+"/"+measure.name, all, "MiB")
		f.row("| peak memory of `%s`, 10,000,000 events | %.1f MiB | its own with 100,000: %.1f MiB | %.2f | + 4 MiB |",
			measure.name, all, less, all/less)
	}
}
