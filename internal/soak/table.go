//go:build unix

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// A table sums up the results per situation and broker.
type table struct {
	rows    []situation
	results map[string]result // by name and broker
}

func newTable(rows []situation) *table { return &table{rows, make(map[string]result)} }

func (s situation) String() string { return s.name + "/" + s.broker }

func (t *table) add(s situation, r result) {
	sum := t.results[s.String()]
	sum.rounds += r.rounds
	sum.faults += r.faults
	sum.events += r.events
	sum.lost += r.lost
	sum.repeated += r.repeated
	sum.untruths = append(sum.untruths, r.untruths...)
	if sum.exits == nil {
		sum.exits = make(map[string]map[int]int)
	}
	for program, codes := range r.exits {
		if sum.exits[program] == nil {
			sum.exits[program] = make(map[int]int)
		}
		for code, n := range codes {
			sum.exits[program][code] += n
		}
	}
	t.results[s.String()] = sum
}

// write prints a line for each situation run.
func (t *table) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(columns ...any) { _, _ = fmt.Fprintln(w, columns...) } // Flush returns errors
	line("SITUATION\tBROKER\tROUNDS\tFAULTS\tEVENTS\tLOST\tREPEATED\tUNTRUE\tEXITS")
	for _, s := range t.rows {
		r := t.results[s.String()]
		if r.rounds == 0 {
			continue
		}
		line(fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s",
			s.name, s.broker, r.rounds, r.faults, r.events, r.lost, r.repeated, len(r.untruths), exits(r.exits)))
	}
	return w.Flush()
}

// exits formats how often programs ended with which exit code: "publish 0×12 5×1".
func exits(all map[string]map[int]int) string {
	var texts []string
	for _, program := range slices.Sorted(maps.Keys(all)) {
		text := program
		for _, code := range slices.Sorted(maps.Keys(all[program])) {
			text += fmt.Sprintf(" %d×%d", code, all[program][code])
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}
