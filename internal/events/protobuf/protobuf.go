// Package protobuf compiles contracts in .proto files, and converts JSON to
// Protobuf's wire format and back, following ProtoJSON.
package protobuf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"nats-test/internal/events/contract"
)

// Format is Protobuf. Readers show unknown enum values as numbers.
var Format = &contract.Format{
	Name: "proto", Title: "Protobuf", Extension: ".proto",
	Evolution: contract.Evolution{Numbered: true, KeepsValues: true, Reads: readsProto},
	New:       func(f *contract.Folder) contract.Compiler { return newCompiler(f) },
}

// compiler compiles the .proto files of one catalogue. Imports are relative to the
// catalogue's folder, as with protoc -I FOLDER. The lock is for files that codecs
// look up later.
type compiler struct {
	folder *contract.Folder
	shared func() typeFinder // of all files in the folder

	mu    sync.Mutex
	files map[string]*sourceFile // by name; nil while a file's imports are compiled
}

func newCompiler(f *contract.Folder) *compiler {
	p := &compiler{folder: f, files: map[string]*sourceFile{}}
	p.shared = sync.OnceValue(p.compileAll)
	return p
}

func (p *compiler) Compile(r contract.Reference) (contract.Codec, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	file := p.file(r.File, nil)
	if file.err != nil {
		return nil, file.err
	}
	files, err := file.registry()
	if err != nil {
		return nil, err
	}
	message, err := messageNamed(files, r)
	if err != nil {
		return nil, err
	}
	types := typeFinder{near: dynamicpb.NewTypes(files), far: p.shared}
	return &messageCodec{
		message: message,
		text:    strings.TrimRight(file.text, "\n") + "\n",
		types:   types,
		flat:    isFlat(message),
	}, nil
}

// A messageCodec is one message of a .proto file. Its JSON is ProtoJSON:
// https://protobuf.dev/programming-guides/json.
type messageCodec struct {
	message protoreflect.MessageDescriptor
	text    string
	types   typeFinder
	flat    bool // nesting can't exceed the limit
}

// maxDepth limits the nesting of messages, as other Protobuf implementations do.
const maxDepth = 100

func (c *messageCodec) Encode(data []byte) ([]byte, []contract.Fault) {
	m := dynamicpb.NewMessage(c.message)
	if err := c.unmarshalJSON(data, m, false); err != nil {
		return nil, c.faults(data, err)
	}
	if err := c.checkSize(m, 0); err != nil {
		return nil, []contract.Fault{{Problem: err.Error()}}
	}
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, []contract.Fault{{Problem: plainError(err)}}
	}
	return wire, nil
}

func (c *messageCodec) Decode(wire []byte) ([]byte, []contract.Fault) {
	data, err := c.toJSON(wire)
	if err != nil {
		return nil, []contract.Fault{{Problem: fmt.Sprintf("is no %s: %s", c.message.FullName(), plainError(err))}}
	}
	return data, nil
}

func (c *messageCodec) toJSON(wire []byte) (data []byte, err error) {
	// protobuf-go 1.36.12 panics on a map entry with a second key of another type.
	// It may be inside an Any, which is read last.
	defer func() {
		if p := recover(); p != nil {
			data, err = nil, fmt.Errorf("the wire format is invalid: %v", p)
		}
	}()
	m := dynamicpb.NewMessage(c.message)
	if err := c.unmarshal(wire, m); err != nil {
		return nil, err
	}
	if err := proto.CheckInitialized(m); err != nil {
		return nil, err
	}
	if err := c.checkSize(m, len(wire)); err != nil {
		return nil, err
	}
	// Without EmitDefaultValues, fields that are 0 or "" would be omitted.
	text, err := protojson.MarshalOptions{EmitDefaultValues: true, Resolver: c.types}.Marshal(m)
	if err != nil {
		return nil, err
	}
	// The library inserts random spaces in some builds, on purpose.
	var line bytes.Buffer
	line.Grow(len(text))
	err = json.Compact(&line, text)
	return line.Bytes(), err
}

func (c *messageCodec) unmarshal(wire []byte, m proto.Message) error {
	// A message's field, and a map's entry, count as one level each.
	o := proto.UnmarshalOptions{AllowPartial: true, DiscardUnknown: true, Resolver: c.types, RecursionLimit: 3 * maxDepth}
	return o.Unmarshal(wire, m)
}

func (c *messageCodec) unmarshalJSON(data []byte, m proto.Message, partial bool) error {
	// The library counts differently; checkSize decides.
	o := protojson.UnmarshalOptions{AllowPartial: partial, Resolver: c.types, RecursionLimit: 10 * maxDepth}
	return o.Unmarshal(data, m)
}

func (c *messageCodec) Source() string { return c.text }

// plainError returns a Protobuf library's error without prefix and line, whose
// spaces differ between builds.
func plainError(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	text = strings.TrimPrefix(text, "proto: ")
	if rest, found := strings.CutPrefix(text, "syntax error "); found {
		text = rest
	}
	if strings.HasPrefix(text, "(line ") {
		if _, rest, found := strings.Cut(text, "): "); found {
			text = rest
		}
	}
	return text
}

// messageNamed returns the message named by a reference, which must be defined in
// its file.
func messageNamed(files *protoregistry.Files, r contract.Reference) (protoreflect.MessageDescriptor, error) {
	file, err := files.FindFileByPath(r.File)
	if err != nil {
		return nil, &contract.SourceError{File: r.File, Problem: plainError(err)}
	}
	names := messageNames(file.Messages(), r.Name != "", nil)
	switch {
	case r.Name == "" && len(names) == 1:
		r.Name = names[0]
	case r.Name == "" && len(names) == 0:
		return nil, &contract.SourceError{File: r.File, Problem: "has no message"}
	case r.Name == "":
		return nil, &contract.SourceError{File: r.File, Problem: "has several messages: " + contract.QuotedList(names) + "; one must be named after a #"}
	}
	if !slices.Contains(names, r.Name) {
		problem := fmt.Sprintf("has no message %s", contract.Quote(r.Name))
		if near := contract.Nearest(r.Name, names); near != "" {
			problem += "; perhaps " + contract.Quote(near)
		} else if len(names) > 0 {
			problem += "; it has " + contract.QuotedList(names)
		}
		return nil, &contract.SourceError{File: r.File, Problem: problem}
	}
	d, err := files.FindDescriptorByName(protoreflect.FullName(r.Name))
	if err != nil {
		return nil, &contract.SourceError{File: r.File, Problem: plainError(err)}
	}
	return d.(protoreflect.MessageDescriptor), nil
}

func messageNames(messages protoreflect.MessageDescriptors, nested bool, names []string) []string {
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() {
			continue
		}
		names = append(names, string(m.FullName()))
		if nested {
			names = messageNames(m.Messages(), nested, names)
		}
	}
	return names
}
