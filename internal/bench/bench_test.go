// Package bench measures the two programs, each comparison in one run on one
// server: on NATS Streaming against the examples of stan.go, on JetStream
// against the nats CLI. What `make bench` prints are the tables of docs/speed.md.
package bench

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
)

const (
	many   = 100_000
	rounds = 7 // of each comparison; the median counts
	starts = 31
)

// A table is one of docs/speed.md, printed when all is measured.
type table struct {
	title   string
	columns string
	rows    []string
}

// samples are all results, a line each in the format that benchstat reads.
var samples []string

// sample notes one result of a benchmark for the next run to be compared with.
func sample(benchmark string, value float64, unit string) {
	name := strings.NewReplacer(" ", "_", ",", "", "--", "").Replace(benchmark)
	samples = append(samples, fmt.Sprintf("%s 1 %.4f %s\n", name, value, unit))
}

const comparing = "what | ours | theirs | ratio | promise"

var (
	streamingTable = &table{title: "NATS Streaming, with stan.go's examples", columns: comparing}
	jetStreamTable = &table{title: "JetStream, with the nats CLI " + natsVersion, columns: comparing}
	catalogueTable = &table{title: "Catalogues, from start to exit", columns: "what | with | without | more | promise"}
	codecTable     = &table{title: "Codecs, one goroutine", columns: "format | on the wire | encode | decode"}
)

func TestMain(m *testing.M) {
	if os.Getenv(loopEnv) != "" {
		handle()
		return
	}
	brokertest.ServeIfChild()
	code := m.Run()
	brokertest.RemovePrograms()
	for _, t := range []*table{streamingTable, jetStreamTable, catalogueTable, codecTable} {
		if len(t.rows) > 0 {
			rule := strings.Repeat("|---", 1+strings.Count(t.columns, "|"))
			fmt.Printf("\n%s:\n\n| %s |\n%s|\n%s\n", t.title, t.columns, rule, strings.Join(t.rows, "\n"))
		}
	}
	if name := os.Getenv("BENCH_RESULTS"); name != "" && code == 0 {
		if err := os.WriteFile(name, []byte(strings.Join(samples, "")), 0o644); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

// event is what is published, the n-th. All are equally long.
func event(n int) string {
	return fmt.Sprintf(`{"id":"ticket-%07d","version":1,"title":"Concert in the great hall, row 12","price":20.5,"userId":"user-%08d"}`, n, n)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
