package avro

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"nats-test/internal/events/contract"
)

// A valueWriter encodes JSON, and collects its faults. The encoding is valid only
// without faults.
type valueWriter struct {
	wire   []byte
	faults []contract.Fault
	way    []string
	depth  int
	empty  int
	large  bool // too large: the rest is skipped
}

func (w *valueWriter) tooLarge() {
	w.fault(tooLarge)
	w.large = true
}

func (w *valueWriter) full() bool { return len(w.faults) > contract.MaxFaults || w.large }

func (w *valueWriter) fault(format string, args ...any) {
	if !w.full() {
		w.faults = append(w.faults, contract.Fault{Path: contract.PointerOf(w.way), Problem: fmt.Sprintf(format, args...)})
	}
}

// in writes the value at a name or index of the current value.
func (w *valueWriter) in(step string, t *schemaType, value any) {
	w.way = append(w.way, step)
	w.write(t, value)
	w.way = w.way[:len(w.way)-1]
}

func (w *valueWriter) write(t *schemaType, value any) {
	if w.full() {
		return
	}
	if w.depth++; w.depth > maxDepth {
		w.fault("is nested more than %d deep", maxDepth)
		w.depth--
		return
	}
	before := len(w.wire)
	if before > maxMade {
		w.tooLarge()
	}
	w.writeKind(t, value)
	w.depth--
	if len(w.faults) == 0 && len(w.wire) == before {
		if w.empty++; w.empty > maxEmpty {
			w.fault("holds more than %d values without bytes", maxEmpty)
		}
	}
}

func (w *valueWriter) writeKind(t *schemaType, value any) {
	if t.kind == "union" {
		w.union(t, value)
		return
	}
	switch v := value.(type) {
	case nil:
		if t.kind == "null" {
			return
		}
	case bool:
		if t.kind == "boolean" {
			w.wire = append(w.wire, 0)
			if v {
				w.wire[len(w.wire)-1] = 1
			}
			return
		}
	case json.Number:
		if w.number(t, string(v)) {
			return
		}
	case string:
		if w.text(t, v) {
			return
		}
	case []any:
		if t.kind == "array" {
			w.count(len(v))
			for i, item := range v {
				w.in(strconv.Itoa(i), t.items, item)
			}
			if len(v) > 0 {
				w.count(0)
			}
			return
		}
	case map[string]any:
		switch {
		case t.kind == "record":
			w.record(t, v)
			return
		case t.kind == "map":
			w.object(t, v)
			return
		case t.logical == "duration":
			w.duration(v)
			return
		}
	}
	w.fault("is %s, must be %s", contract.KindOf(value), t.word())
}

func (w *valueWriter) count(n int) { w.wire = binary.AppendVarint(w.wire, int64(n)) }

func (w *valueWriter) record(t *schemaType, object map[string]any) {
	known := 0
	for i := range t.fields {
		f := &t.fields[i]
		value, ok := object[f.name]
		switch {
		case ok:
			known++
			w.in(f.name, f.kind, value)
		case f.fallback != nil:
			w.wire = append(w.wire, f.fallback...)
		default:
			w.missing(f.name)
		}
	}
	if known < len(object) {
		w.unknown(object, func(name string) bool {
			return slices.ContainsFunc(t.fields, func(f recordField) bool { return f.name == name })
		})
	}
}

func (w *valueWriter) missing(name string) {
	w.way = append(w.way, name)
	w.fault("missing")
	w.way = w.way[:len(w.way)-1]
}

func (w *valueWriter) unknown(object map[string]any, known func(string) bool) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if w.full() {
			return
		}
		if !known(name) {
			w.way = append(w.way, name)
			w.fault("unknown field")
			w.way = w.way[:len(w.way)-1]
		}
	}
}

func (w *valueWriter) object(t *schemaType, object map[string]any) {
	w.count(len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		w.count(len(key))
		w.wire = append(w.wire, key...)
		w.in(key, t.items, object[key])
	}
	if len(object) > 0 {
		w.count(0)
	}
}

func (w *valueWriter) duration(object map[string]any) {
	for _, name := range durationParts {
		value, ok := object[name]
		if !ok {
			w.missing(name)
			continue
		}
		w.way = append(w.way, name)
		number, ok := value.(json.Number)
		n, exact, fits := scaled(string(number), 0, 10)
		if !ok || !exact || !fits || n.Sign() < 0 || n.BitLen() > 32 {
			w.fault("must be a whole number from 0 to %d", uint32(math.MaxUint32))
			n = nil
		}
		w.way = w.way[:len(w.way)-1]
		if n != nil {
			w.wire = binary.LittleEndian.AppendUint32(w.wire, uint32(n.Uint64()))
		}
	}
	if len(object) > len(durationParts) {
		w.unknown(object, func(name string) bool { return slices.Contains(durationParts[:], name) })
	}
}

// union writes a value of the type named by its tag. A type that is alone beside
// null needs no tag.
func (w *valueWriter) union(t *schemaType, value any) {
	var tag string
	object, _ := value.(map[string]any)
	if len(object) == 1 {
		for tag = range object {
		}
	}
	for i, branch := range t.branches {
		switch {
		case value == nil && branch.kind == "null":
			w.count(i)
			return
		case value != nil && branch == t.optional && (tag != branch.name || branch.untagged(object)):
			w.count(i)
			w.write(branch, value)
			return
		case len(object) == 1 && tag == branch.name && branch.kind != "null":
			w.count(i)
			w.in(tag, branch, object[tag])
			return
		}
	}
	names := make([]string, 0, contract.MostChoices+1)
	for _, branch := range t.branches[:min(len(t.branches), cap(names))] {
		names = append(names, branch.name)
	}
	w.fault("matches none of %s", contract.QuotedList(names))
}

// untagged reports whether an object whose one key is the type's name is
// nevertheless an untagged value of the type: decode writes no tag.
func (t *schemaType) untagged(object map[string]any) bool {
	switch t.kind {
	case "record":
		return slices.ContainsFunc(t.fields, func(f recordField) bool { return f.name == t.name })
	case "map":
		_, nested := object[t.name].(map[string]any)
		return !nested || t.items.kind == "record" || t.items.kind == "map" || t.items.kind == "union" || t.items.logical == "duration"
	}
	return false
}
