package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/events"
)

const catalogueEvents = 200

// exported writes the ticketing catalogue out in a format, and returns its folder.
func exported(b *testing.B, as string) string {
	b.Helper()
	files, err := events.ExportTicketing(as)
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(b.TempDir(), as)
	if err := events.WriteFiles(dir, files); err != nil {
		b.Fatal(err)
	}
	return dir
}

// enlarge adds further subjects to a catalogue until it has many: each file has
// as many contracts as those that the catalogue has in it now.
func enlarge(b *testing.B, dir string, contracts ...string) {
	b.Helper()
	manifest, err := os.OpenFile(filepath.Join(dir, events.ManifestName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	n := len(events.Ticketing().Contracts())
	for version := 2; n < catalogueEvents; version++ {
		renamed := func(text string) string {
			return strings.ReplaceAll(text, "ticketing.v1", fmt.Sprint("ticketing.v", version))
		}
		for _, contract := range contracts {
			file, message, _ := strings.Cut(contract, "#")
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				b.Fatal(err)
			}
			name := fmt.Sprint("further", version, filepath.Ext(file))
			if err := os.WriteFile(filepath.Join(dir, name), []byte(renamed(string(text))), 0o600); err != nil {
				b.Fatal(err)
			}
			if message != "" {
				name += "#" + renamed(message)
			}
			if _, err := fmt.Fprintf(manifest, "  further:event%d:\n    description: one more event\n    contract: %s\n", n, name); err != nil {
				b.Fatal(err)
			}
			if n++; n == catalogueEvents {
				break
			}
		}
	}
	if err := manifest.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCatalogue measures what a catalogue adds to a start: for publish,
// which needs one contract, and for a listen to all its events.
func BenchmarkCatalogue(b *testing.B) {
	bin, err := brokertest.Programs()
	if err != nil {
		b.Fatal(err)
	}
	start := func(program string, args ...string) float64 {
		cmd := exec.Command(filepath.Join(bin, program), args...)
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		begin := time.Now()
		_ = cmd.Run() // listen finds no server: it had loaded all by then
		return time.Since(begin).Seconds() * 1000
	}
	publish := func(args ...string) float64 {
		return start("publish", append([]string{"--dry-run", "--data", event(1), "ticket:created"}, args...)...)
	}
	listen := func(args ...string) float64 {
		return start("listen", append([]string{"-s", "nats://127.0.0.1:1"}, args...)...)
	}
	compare := func(what, promise string, with, without func() float64) {
		var a, z, more []float64
		for range starts {
			x, y := with(), without()
			a, z, more = append(a, x), append(z, y), append(more, x-y)
		}
		catalogueTable.rows = append(catalogueTable.rows,
			fmt.Sprintf("| %s | %.1f ms | %.1f ms | %.1f ms | %s |", what, median(a), median(z), median(more), promise))
	}
	compare("`publish`, built-in catalogue; without: `--raw`", "0", func() float64 { return publish() }, func() float64 { return publish("--raw") })
	var messages []string // all in one file
	for _, name := range []string{"TicketCreated", "TicketUpdated", "OrderCreated", "OrderCancelled", "ExpirationComplete", "PaymentCreated"} {
		messages = append(messages, "ticketing/v1/events.proto#ticketing.v1."+name)
	}
	for _, format := range []struct {
		as, title string
		contracts []string
	}{
		{"jsonschema", "JSON Schema", []string{"order-created.schema.json"}},
		{"proto", "Protobuf", messages},
		{"avro", "Avro", []string{"ticket-updated.avsc#ticketing.v1.TicketUpdated"}},
	} {
		dir := exported(b, format.as)
		enlarge(b, dir, format.contracts...)
		if n, faults, err := events.Check(dir, func(string) error { return nil }); err != nil {
			b.Fatal(err)
		} else if len(faults) > 0 {
			b.Fatal(faults[0])
		} else if n != catalogueEvents {
			b.Fatal(n)
		}
		what := fmt.Sprintf(", %d events in %s; without: built-in", catalogueEvents, format.title)
		compare("`publish`"+what, "≤ 30 ms", func() float64 { return publish("--catalog", dir) }, func() float64 { return publish() })
		compare("`listen` to all"+what, "none: it connects meanwhile", func() float64 { return listen("--catalog", dir) }, func() float64 { return listen() })
	}
}

// BenchmarkCodecs measures how many events a second each format encodes and
// decodes, checked, in one goroutine.
func BenchmarkCodecs(b *testing.B) {
	catalogues := []struct {
		title string
		c     *events.Catalogue
	}{{"built-in", events.Ticketing()}}
	for _, as := range []string{"jsonschema", "proto", "avro"} {
		c, err := events.Load(exported(b, as))
		if err != nil {
			b.Fatal(err)
		}
		catalogues = append(catalogues, struct {
			title string
			c     *events.Catalogue
		}{c.Contracts()[0].Format.Title, c})
	}
	for _, catalogue := range catalogues {
		k, err := catalogue.c.Lookup("ticket:created")
		if err != nil {
			b.Fatal(err)
		}
		wire, err := k.Encode([]byte(event(1)))
		if err != nil {
			b.Fatal(err)
		}
		rate := func(do func([]byte) ([]byte, error), data []byte) float64 {
			n, begin := 0, time.Now()
			for ; time.Since(begin) < time.Second; n += 1000 {
				for range 1000 {
					if _, err := do(data); err != nil {
						b.Fatal(err)
					}
				}
			}
			return float64(n) / time.Since(begin).Seconds()
		}
		codecTable.rows = append(codecTable.rows, fmt.Sprintf("| %s | %d bytes | %.0f/s | %.0f/s |",
			catalogue.title, len(wire), rate(k.Encode, []byte(event(1))), rate(k.Decode, wire)))
	}
}
