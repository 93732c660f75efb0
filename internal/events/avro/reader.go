package avro

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"nats-test/internal/events/contract"
)

// A valueReader converts an event's encoding to JSON while reading it. It allocates
// memory only for data present, whatever sizes the data claims.
type valueReader struct {
	wire    []byte // not read yet
	out     []byte
	problem string
	way     []string // path to the problem, innermost first
	depth   int
	values  int // number of values read
	empty   int // of these, values without a byte of their own
}

// maxEmpty limits values encoded in no byte: a few bytes could claim any number of
// them.
const maxEmpty = 1 << 16

// The size of an event's JSON is limited: with a contract's long names and
// defaults, a few bytes can become very large.
const (
	maxMade  = 64 << 20
	tooLarge = "becomes larger than 64 MiB"
)

// readAll reads a value of type t, which must end the data.
func (r *valueReader) readAll(t *schemaType) bool {
	if !r.read(t) {
		return false
	}
	if len(r.wire) > 0 {
		return r.fail("%d more bytes follow the value", len(r.wire))
	}
	return true
}

func (r *valueReader) fault() contract.Fault {
	slices.Reverse(r.way)
	return contract.Fault{Path: contract.PointerOf(r.way), Problem: r.problem}
}

func (r *valueReader) fail(format string, args ...any) bool {
	r.problem = fmt.Sprintf(format, args...)
	return false
}

func (r *valueReader) in(step string) bool {
	r.way = append(r.way, step)
	return false
}

// read reads a value of type t and appends it to out as JSON.
func (r *valueReader) read(t *schemaType) bool {
	if r.depth++; r.depth > maxDepth {
		return r.fail("is nested more than %d deep", maxDepth)
	}
	before := len(r.wire)
	if len(r.out) > maxMade {
		return r.fail(tooLarge)
	}
	ok := r.readKind(t)
	r.depth--
	if r.values++; ok && len(r.wire) == before {
		if r.empty++; r.empty > maxEmpty {
			return r.fail("holds more than %d values without bytes", maxEmpty)
		}
	}
	return ok
}

func (r *valueReader) readKind(t *schemaType) bool {
	switch t.kind {
	case "null":
		r.out = append(r.out, "null"...)
		return true
	case "boolean":
		b, ok := r.take(1)
		if !ok {
			return false
		}
		if b[0] > 1 {
			return r.fail("is the byte %#02x, must be a boolean, 0 or 1", b[0])
		}
		r.out = strconv.AppendBool(r.out, b[0] == 1)
		return true
	case "int", "long":
		n, ok := r.long()
		if !ok {
			return false
		}
		if t.kind == "int" && n != int64(int32(n)) {
			return r.fail("%d is out of range for int", n)
		}
		r.out = t.appendInteger(r.out, n)
		return true
	case "float":
		b, ok := r.take(4)
		if ok {
			r.out = appendFloat(r.out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
		}
		return ok
	case "double":
		b, ok := r.take(8)
		if ok {
			r.out = appendFloat(r.out, math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
		}
		return ok
	case "bytes":
		b, ok := r.counted()
		return ok && r.bytes(t, b)
	case "fixed":
		b, ok := r.take(t.size)
		return ok && r.bytes(t, b)
	case "string":
		text, ok := r.text()
		if ok && t.logical == "uuid" && !isUUID(text) {
			return r.fail("%s is not a uuid", contract.Quote(text))
		}
		r.out = contract.AppendJSONString(r.out, text)
		return ok
	case "enum":
		n, ok := r.long()
		if ok && (n < 0 || n >= int64(len(t.symbols))) {
			return r.fail("is symbol %d of an enum which has %d", n, len(t.symbols))
		}
		if ok {
			r.out = contract.AppendJSONString(r.out, t.symbols[n])
		}
		return ok
	case "record":
		return r.record(t)
	case "array":
		return r.array(t)
	case "map":
		return r.object(t)
	}
	return r.union(t)
}

func (r *valueReader) bytes(t *schemaType, b []byte) bool {
	out, problem := t.appendBytes(r.out, b)
	if problem != "" {
		return r.fail("%s", problem)
	}
	r.out = out
	return true
}

func (r *valueReader) record(t *schemaType) bool {
	r.out = append(r.out, '{')
	for i := range t.fields {
		f := &t.fields[i]
		if i > 0 {
			r.out = append(r.out, ',')
		}
		r.out = append(r.out, f.key...)
		if !r.read(f.kind) {
			return r.in(f.name)
		}
	}
	r.out = append(r.out, '}')
	return true
}

func (r *valueReader) union(t *schemaType) bool {
	n, ok := r.long()
	switch {
	case !ok:
		return false
	case n < 0 || n >= int64(len(t.branches)):
		return r.fail("is type %d of a union which has %d", n, len(t.branches))
	}
	branch := t.branches[n]
	switch {
	case branch.kind == "null":
		r.out = append(r.out, "null"...)
	case t.optional != nil:
		return r.read(branch)
	default:
		r.out = append(contract.AppendJSONString(append(r.out, '{'), branch.name), ':')
		if !r.read(branch) {
			return r.in(branch.name)
		}
		r.out = append(r.out, '}')
	}
	return true
}

func (r *valueReader) array(t *schemaType) bool {
	r.out = append(r.out, '[')
	index := 0
	for {
		n, ok := r.block()
		if !ok || n == 0 {
			r.out = append(r.out, ']')
			return ok
		}
		for range n {
			if index > 0 {
				r.out = append(r.out, ',')
			}
			if !r.read(t.items) {
				return r.in(strconv.Itoa(index))
			}
			index++
		}
	}
}

// object reads a map. Its keys are sorted; of duplicates, the last one counts.
func (r *valueReader) object(t *schemaType) bool {
	type entry struct {
		key        string
		begin, end int // in out
	}
	var entries []entry
	r.out = append(r.out, '{')
	begin := len(r.out)
	sorted := true
	for {
		n, ok := r.block()
		if !ok {
			return false
		}
		if n == 0 {
			break
		}
		for range n {
			key, ok := r.text()
			if !ok {
				return false
			}
			if len(entries) > 0 {
				sorted = sorted && entries[len(entries)-1].key < key
				r.out = append(r.out, ',')
			}
			start := len(r.out)
			r.out = append(contract.AppendJSONString(r.out, key), ':')
			if !r.read(t.items) {
				return r.in(key)
			}
			entries = append(entries, entry{key, start, len(r.out)})
		}
	}
	if !sorted {
		slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
		unsorted := bytes.Clone(r.out[begin:])
		r.out = r.out[:begin]
		for i, e := range entries {
			if i+1 < len(entries) && entries[i+1].key == e.key {
				continue
			}
			if len(r.out) > begin {
				r.out = append(r.out, ',')
			}
			r.out = append(r.out, unsorted[e.begin-begin:e.end-begin]...)
		}
	}
	r.out = append(r.out, '}')
	return true
}
