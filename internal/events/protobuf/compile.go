package protobuf

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/options"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"nats-test/internal/events/contract"
)

// The root package of protocompile could replace much of this file, but makes every
// start of the programs 1.4 ms slower.

// standardProtos holds what protoc brings along, in the folder "google".
//
//go:embed google
var standardProtos embed.FS

// A sourceFile is a compiled .proto file, or its error.
type sourceFile struct {
	text    string
	linked  linker.File
	proto   *descriptorpb.FileDescriptorProto
	imports []*sourceFile
	err     error
}

// file returns the file of that name, compiled once. chain holds the files being
// compiled that lead to it.
func (p *compiler) file(name string, chain []string) *sourceFile {
	if f, ok := p.files[name]; ok {
		return f
	}
	f := p.newFile(name, append(chain, name))
	p.files[name] = f
	return f
}

func (p *compiler) newFile(name string, chain []string) *sourceFile {
	// The Protobuf runtime needs these two itself.
	if name == "google/protobuf/descriptor.proto" || name == "google/protobuf/go_features.proto" {
		return linkedIn(name)
	}
	text, err := standardProtos.ReadFile(name)
	isStandard := err == nil
	if !isStandard {
		if text, err = p.folder.Read(name); err != nil {
			return &sourceFile{err: err}
		}
	}
	f := &sourceFile{text: string(text)}
	f.err = p.link(f, name, chain)
	// The libraries rely on the messages of this package having their standard
	// fields.
	if f.err == nil && !isStandard && f.proto.GetPackage() == "google.protobuf" {
		f.err = &contract.SourceError{File: name, Problem: "the package google.protobuf is not for others; what it has is imported as \"google/protobuf/…\""}
	}
	return f
}

// linkedIn returns a file linked into this program.
func linkedIn(name string) *sourceFile {
	d, err := protoregistry.GlobalFiles.FindFileByPath(name)
	if err != nil {
		return &sourceFile{err: &contract.SourceError{File: name, Problem: err.Error()}}
	}
	f := &sourceFile{proto: protodesc.ToFileDescriptorProto(d)}
	f.linked, f.err = linker.NewFileRecursive(d)
	for i := range d.Imports().Len() {
		f.imports = append(f.imports, linkedIn(d.Imports().Get(i).Path()))
	}
	return f
}

// link compiles a file, and the files that it imports.
func (p *compiler) link(f *sourceFile, name string, chain []string) error {
	if line := tooNested(f.text); line > 0 {
		return &contract.SourceError{File: name, Line: line, Problem: fmt.Sprintf("is nested more than %d levels deep", maxNesting)}
	}
	handler := reporter.NewHandler(nil) // stop at the first error
	tree, err := parser.Parse(name, strings.NewReader(f.text), handler)
	if err != nil {
		return sourceError(name, err)
	}
	parsed, err := parser.ResultFromAST(tree, true, handler)
	if err != nil {
		return sourceError(name, err)
	}
	f.proto = parsed.FileDescriptorProto()
	var imports linker.Files
	for _, path := range f.proto.GetDependency() {
		imported, err := p.imported(path, chain)
		if err != nil {
			var source *contract.SourceError
			if errors.As(err, &source) && source.File == "" {
				source.File, source.Line = name, importLine(tree, path)
			}
			return err
		}
		f.imports, imports = append(f.imports, imported), append(imports, imported.linked)
	}
	linked, err := linker.Link(parsed, imports, nil, handler)
	if err != nil {
		return sourceError(name, err)
	}
	if _, err := options.InterpretOptions(linked, handler); err != nil {
		return sourceError(name, err)
	}
	if err := linked.ValidateOptions(handler, nil); err != nil {
		return sourceError(name, err)
	}
	if err := uniqueNames(parsed, tree, f.proto.GetMessageType()); err != nil {
		return sourceError(name, err)
	}
	linked.RemoveAST()
	f.linked = linked
	return nil
}

// imported returns an imported file. An error in the import statement itself does
// not name a file.
func (p *compiler) imported(path string, chain []string) (*sourceFile, error) {
	if i := slices.Index(chain, path); i >= 0 {
		circle := strings.Join(append(slices.Clone(chain[i:]), path), " -> ")
		return nil, &contract.SourceError{Problem: "the imports make a circle: " + circle}
	}
	f := p.file(path, chain)
	var source *contract.SourceError
	if f.linked == nil && f.text == "" && errors.As(f.err, &source) { // unreadable
		return nil, &contract.SourceError{Problem: fmt.Sprintf("importing %q: %s", path, source.Problem)}
	}
	return f, f.err
}

func importLine(tree *ast.FileNode, path string) int {
	for _, d := range tree.Decls {
		if i, ok := d.(*ast.ImportNode); ok && i.Name.AsString() == path {
			return tree.NodeInfo(i).Start().Line
		}
	}
	return 0
}

// sourceError returns a compiler's error as a [*SourceError].
func sourceError(name string, err error) error {
	var at reporter.ErrorWithPos
	if errors.As(err, &at) {
		pos := at.GetPosition()
		return &contract.SourceError{File: pos.Filename, Line: pos.Line, Problem: at.Unwrap().Error()}
	}
	return &contract.SourceError{File: name, Problem: err.Error()}
}

// uniqueNames returns an error for two fields with the same JSON name: proto2
// allows them, but one would be lost.
func uniqueNames(parsed parser.Result, tree *ast.FileNode, messages []*descriptorpb.DescriptorProto) error {
	for _, m := range messages {
		seen := map[string]string{}
		for _, f := range m.GetField() {
			if other, ok := seen[f.GetJsonName()]; ok {
				at := tree.NodeInfo(parsed.FieldNode(f).FieldName())
				return reporter.Errorf(at, "the fields %q and %q are both %q in JSON", other, f.GetName(), f.GetJsonName())
			}
			seen[f.GetJsonName()] = f.GetName()
		}
		if err := uniqueNames(parsed, tree, m.GetNestedType()); err != nil {
			return err
		}
	}
	return nil
}

// registry returns the descriptors of the file and all its imports. The linker's
// own find fields by linear search, which is slow for data.
func (f *sourceFile) registry() (*protoregistry.Files, error) {
	files := new(protoregistry.Files)
	return files, f.register(files)
}

func (f *sourceFile) register(files *protoregistry.Files) error {
	if _, err := files.FindFileByPath(f.proto.GetName()); err == nil {
		return nil
	}
	for _, i := range f.imports {
		if err := i.register(files); err != nil {
			return err
		}
	}
	d, err := protodesc.NewFile(f.proto, files)
	if err == nil {
		err = files.RegisterFile(d)
	}
	if err != nil {
		return &contract.SourceError{File: f.proto.GetName(), Problem: plainError(err)}
	}
	return nil
}

// compileAll returns the types of all valid files in the folder. Of duplicates, the
// first one counts.
func (p *compiler) compileAll() typeFinder {
	p.mu.Lock()
	defer p.mu.Unlock()
	names, _ := p.folder.Names(".proto") // without a list, no types are found
	files := new(protoregistry.Files)
	for _, name := range names {
		if f := p.file(name, nil); f.err == nil {
			_ = f.register(files)
		}
	}
	return typeFinder{near: dynamicpb.NewTypes(files)}
}
