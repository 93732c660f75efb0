// Package protobuf compiles contracts in .proto files, and turns JSON into
// Protobuf's wire format and back, as ProtoJSON says.
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

// Format is Protobuf. Its readers show a number that their enum does not
// name.
var Format = &contract.Format{
	Name: "proto", Title: "Protobuf", Extension: ".proto",
	Evolution: contract.Evolution{Numbered: true, KeepsValues: true, Reads: readsProto},
	New:       func(f *contract.Folder) contract.Compiler { return newCompiler(f) },
}

// compiler compiles the .proto files of one catalogue. An import is named
// relative to the catalogue's folder, as with protoc -I FOLDER. What its codecs
// find in the catalogue later is compiled then, hence the lock.
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
	flat    bool // no message can be nested too deeply
}

// maxDepth is how deeply messages may be nested: as deeply as Protobuf's other
// implementations read them.
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
	// protobuf-go 1.36.12 panics on a map's entry that has a second key, of
	// another type. It may be within an Any, too, which is read last.
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
	// Without EmitDefaultValues nobody would see the fields that are 0 or "".
	text, err := protojson.MarshalOptions{EmitDefaultValues: true, Resolver: c.types}.Marshal(m)
	if err != nil {
		return nil, err
	}
	// The library puts spaces between the values in some builds, on purpose.
	var line bytes.Buffer
	line.Grow(len(text))
	err = json.Compact(&line, text)
	return line.Bytes(), err
}

func (c *messageCodec) unmarshal(wire []byte, m proto.Message) error {
	// A message's fields, and a map's entries, are one level each.
	o := proto.UnmarshalOptions{AllowPartial: true, DiscardUnknown: true, Resolver: c.types, RecursionLimit: 3 * maxDepth}
	return o.Unmarshal(wire, m)
}

func (c *messageCodec) unmarshalJSON(data []byte, m proto.Message, partial bool) error {
	// The library counts another way than checkSize, which is to decide.
	o := protojson.UnmarshalOptions{AllowPartial: partial, Resolver: c.types, RecursionLimit: 10 * maxDepth}
	return o.Unmarshal(data, m)
}

func (c *messageCodec) Source() string { return c.text }

// plainError is a Protobuf library's error without its prefix and its line, in which
// the spaces differ from build to build.
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

// messageNamed returns the message that a reference means, one of its file.
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
