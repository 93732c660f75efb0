package bench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// loopEnv makes this program a handler of --exec-loop that does nothing.
const loopEnv = "BENCH_LOOP_HANDLER"

// handle answers each record, and writes its answers when no record is left.
func handle() {
	in, out := bufio.NewReaderSize(os.Stdin, 64<<10), bufio.NewWriterSize(os.NewFile(3, "answers"), 64<<10)
	for {
		if _, err := in.ReadSlice('\n'); err != nil {
			return
		}
		if _, err := out.WriteString("{\"ack\":true}\n"); err != nil {
			return
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
}

// looped returns a listen that hands ticket:created to handlers that do nothing, to be run.
func (f jetStream) looped() *exec.Cmd {
	f.b.Helper()
	self, err := os.Executable()
	if err != nil {
		f.b.Fatal(err)
	}
	cmd := f.ours("listen", "ticket:created", "--group", "orders", "--until-end", "--dead-letter", "",
		"--workers", "2", "--max-in-flight", "2000", "--exec-loop", self)
	cmd.Env = append(cmd.Env, loopEnv+"=1")
	return cmd
}

// With batches in flight, a handler that lives on costs little more than reading.
func BenchmarkJetStreamExecLoop(b *testing.B) {
	f := newJetStream(b)
	f.renew()
	f.publish(f.input(), "ticket:created")
	f.stored(many)
	c := comparison{"100,000 events through `listen --exec-loop`, 2 workers, `--max-in-flight 2000`", "shown, `-o json > file`", "%.0f/s", "ours ≥ 100,000/s"}
	f.compare(rounds, c, func(int) (ours, theirs float64) {
		theirs = f.listen("--group", "orders")
		f.acked()
		took, said := f.run(f.looped())
		if !strings.Contains(said, fmt.Sprintf("handled %d events, 0 retries", many)) {
			b.Fatal(said)
		}
		f.acked()
		ours = many / took.Seconds()
		b.ReportMetric(ours, "events/s")
		return ours, theirs
	})
}

// A process for each event costs little more than to start it.
func BenchmarkJetStreamExec(b *testing.B) {
	const events = 2000
	f := newJetStream(b)
	f.renew()
	publish := f.ours("publish", "ticket:created", "--data", "-")
	publish.Stdin = &generated{left: events}
	f.run(publish)
	f.stored(events)
	c := comparison{"2,000 events through `listen -- /bin/true`", "a loop in Go that starts it", "%.0f/s", "≥ 0.9"}
	f.compare(rounds, c, func(int) (ours, theirs float64) {
		begin := time.Now()
		for range events {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
		theirs = events / time.Since(begin).Seconds()
		took, said := f.run(f.ours("listen", "ticket:created", "--group", "orders", "--until-end", "--dead-letter", "", "--", "/bin/true"))
		if !strings.Contains(said, fmt.Sprintf("handled %d events, 0 retries", events)) {
			b.Fatal(said)
		}
		f.acked()
		return events / took.Seconds(), theirs
	})
}

// BenchmarkExecLoopMemory compares the peak memory of a million events with that of a
// hundredth.
func BenchmarkExecLoopMemory(b *testing.B) {
	const most = 1_000_000
	f := newJetStream(b)
	peak := func(events int) float64 {
		f.renew()
		cmd := f.ours("publish", "ticket:created", "--data", "-", "-q")
		cmd.Stdin = &generated{left: events}
		f.run(cmd)
		f.stored(uint64(events))
		cmd = f.looped()
		cmd.Stdout = io.Discard
		peak := f.watched(cmd)
		f.acked()
		return peak
	}
	less, all := peak(most/100), peak(most)
	b.ReportMetric(all, "MiB")
	sample(b.Name(), all, "MiB")
	f.row("| peak memory of `listen --exec-loop`, 1,000,000 events | %.1f MiB | its own with 10,000: %.1f MiB | %.2f | + 4 MiB |", all, less, all/less)
}
