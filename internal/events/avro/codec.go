package avro

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/avro"

	"nats-test/internal/events/contract"
)

// A typeCodec is a contract in Avro. Its JSON is the specification's JSON encoding,
// with exceptions for readability: optional values are bare, and dates, times and
// decimals are text.
type typeCodec struct {
	files      *compiler
	header     []byte // of a single object; nil without one
	text       string // the schema with all types that it refers to
	definition string
	root       *schemaType
	others     sync.Map // *version or error, by fingerprint of the writer's schema
}

// A version reads data written with another version of a contract.
type version struct {
	writer   *schemaType
	resolved *avro.Schema // reads the writer's encoding, and writes the contract's
}

func (c *typeCodec) Source() string { return c.definition }

func (c *typeCodec) Encode(data []byte) ([]byte, []contract.Fault) {
	value, err := contract.DecodeJSON(data)
	if err != nil {
		return nil, []contract.Fault{{Problem: err.Error()}}
	}
	w := valueWriter{wire: append(make([]byte, 0, len(c.header)+len(data)), c.header...)}
	w.write(c.root, value)
	if len(w.faults) > 0 {
		return nil, contract.Bounded(w.faults, false)
	}
	return w.wire, nil
}

func (c *typeCodec) Decode(wire []byte) ([]byte, []contract.Fault) {
	fault := func(format string, args ...any) ([]byte, []contract.Fault) {
		return nil, []contract.Fault{{Problem: fmt.Sprintf(format, args...)}}
	}
	payload := wire
	if c.header != nil {
		switch magic := magic(); {
		case !bytes.HasPrefix(wire, magic):
			return fault("is not an Avro single object: it must begin with the bytes C3 01 (a contract with %q takes bare values)", "encoding: binary")
		case len(wire) < len(c.header):
			return fault("ends in the middle of the schema's fingerprint")
		}
		payload = wire[len(c.header):]
		if !bytes.HasPrefix(wire, c.header) {
			written := binary.LittleEndian.Uint64(wire[2:])
			v, err := c.version(written)
			if err != nil {
				return fault("%v", err)
			}
			if payload, err = v.translate(payload); err != nil {
				return fault("was written with another schema of the catalogue, fingerprint %016x: %v", written, err)
			}
		}
	}
	r := valueReader{wire: payload, out: make([]byte, 0, 2*len(payload)+64)}
	if !r.readAll(c.root) {
		return nil, []contract.Fault{r.fault()}
	}
	return r.out, nil
}

// version returns the version with a writer's fingerprint.
func (c *typeCodec) version(fingerprint uint64) (*version, error) {
	if v, ok := c.others.Load(fingerprint); ok {
		if err, failed := v.(error); failed {
			return nil, err
		}
		return v.(*version), nil
	}
	text, ok := c.files.version(fingerprint)
	if !ok { // not cached: a broker could send any number of fingerprints
		return nil, fmt.Errorf("was written with a schema whose fingerprint is %016x: no schema in the catalogue has it", fingerprint)
	}
	v, err := newVersion(text, c.text)
	if err != nil {
		err = fmt.Errorf("was written with another schema of the catalogue, fingerprint %016x, that the contract can't read: %s",
			fingerprint, strings.TrimPrefix(err.Error(), "avro: "))
		c.others.Store(fingerprint, err)
		return nil, err
	}
	c.others.Store(fingerprint, v)
	return v, nil
}

func newVersion(writer, reader string) (*version, error) {
	from, err := avro.Parse(writer, withoutLogicalTypes()...)
	if err != nil {
		return nil, err
	}
	to, err := avro.Parse(reader, withoutLogicalTypes()...)
	if err != nil {
		return nil, err
	}
	v := &version{}
	if v.writer, err = newType(from.Root()); err != nil {
		return nil, err
	}
	contract, err := newType(to.Root())
	if err == nil {
		err = sameMeaning(v.writer, contract, map[[2]*schemaType]bool{})
	}
	if err != nil {
		return nil, err
	}
	v.resolved, err = avro.Resolve(from, to)
	return v, err
}

// sameMeaning refuses pairs of types that the library would convert as bare numbers
// or bytes although their meaning differs: days to milliseconds, or bytes to a
// decimal.
func sameMeaning(writer, reader *schemaType, seen map[[2]*schemaType]bool) error {
	pair := [2]*schemaType{writer, reader}
	if seen[pair] {
		return nil
	}
	seen[pair] = true
	// A value goes to the branch with its type's name, otherwise to one its type
	// can be promoted to.
	pairs := func(writers, readers []*schemaType) error {
		for _, w := range writers {
			own := slices.ContainsFunc(readers, func(r *schemaType) bool { return r.name == w.name })
			for _, r := range readers {
				named := w.fields != nil || r.fields != nil || w.symbols != nil || r.symbols != nil
				if w.name != r.name && (own || named) {
					continue
				}
				if err := sameMeaning(w, r, seen); err != nil {
					return err
				}
			}
		}
		return nil
	}
	switch {
	case writer.kind == "null" || reader.kind == "null":
	case writer.kind == "union" && reader.kind == "union":
		return pairs(writer.branches, reader.branches)
	case writer.kind == "union":
		return pairs(writer.branches, []*schemaType{reader})
	case reader.kind == "union":
		return pairs([]*schemaType{writer}, reader.branches)
	case reader.logical != "" && reader.logical != "uuid" && writer.logical != reader.logical && writer.items == nil && writer.fields == nil:
		return fmt.Errorf("it has %s where the contract has %s", writer.word(), reader.word())
	case writer.items != nil && reader.items != nil:
		return sameMeaning(writer.items, reader.items, seen)
	}
	for _, w := range writer.fields {
		for _, r := range reader.fields {
			if w.name == r.name {
				if err := sameMeaning(w.kind, r.kind, seen); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// withoutLogicalTypes makes the library keep numbers and bytes of logical types:
// Go's times can't represent all of them.
func withoutLogicalTypes() []avro.SchemaOpt {
	var opts []avro.SchemaOpt
	for _, name := range []string{"date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos",
		"local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos", "decimal", "big-decimal", "uuid", "duration"} {
		opts = append(opts, avro.CustomType{LogicalType: name})
	}
	return opts
}

// translate converts the writer's encoding to the contract's. The library makes a
// tree of the data, up to 100 times its size, so our reader checks the data against
// the writer's schema first.
func (v *version) translate(payload []byte) ([]byte, error) {
	const most = 1 << 19
	r := valueReader{wire: payload}
	if !r.readAll(v.writer) {
		return nil, fmt.Errorf("%s", r.fault())
	}
	if r.values > most {
		return nil, fmt.Errorf("has more than %d values, which is too many for another version's", most)
	}
	var value any
	_, err := v.resolved.Decode(payload, &value, avro.TaggedUnions())
	if err == nil {
		payload, err = v.resolved.Encode(value)
	}
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "avro: "))
	}
	return payload, nil
}
