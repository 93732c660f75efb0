// Package jsonschema compiles contracts in JSON Schema. The wire form is the
// author's JSON. Data may come from anyone, so the cost of checking it is limited.
package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"nats-test/internal/events/contract"
	"nats-test/third_party/jsonschema"
)

// Format is JSON Schema: the wire form is the author's JSON.
var Format = &contract.Format{
	Name: "jsonschema", Title: "JSON Schema", Extension: ".json",
	Evolution: contract.Evolution{Reads: readsJSON},
	New:       func(f *contract.Folder) contract.Compiler { return newSchemas(f) },
}

// schemas compiles contracts in JSON Schema, draft 2020-12 unless a file names an
// older one. A format is an assertion, not an annotation.
type schemas struct {
	files *schemaFiles

	mu       sync.Mutex
	compiler *jsonschema.Compiler // nil before first use
}

func newSchemas(f *contract.Folder) *schemas {
	return &schemas{files: newSchemaFiles(f)}
}

func (j *schemas) Compile(r contract.Reference) (contract.Codec, error) {
	file, err := j.open(r.File)
	if err != nil {
		return nil, err
	}
	validator := sync.OnceValues(func() (*validator, error) { return j.validator(file, r) })
	if rule, ok := ruleFrom(file.doc); ok && r.Name == "" && plain(file.doc, true) {
		// The schema compiles, and most data won't need the validator.
		return &schemaCodec{rule: rule, text: file.text, validator: validator}, nil
	}
	v, err := validator()
	if err != nil {
		return nil, err
	}
	place, pointer := j.files.place(v.schema.Location)
	if place == nil {
		place = file
	}
	c := &schemaCodec{text: place.part(pointer), part: pointer != "", validator: validator}
	if part, err := contract.DecodeJSON(c.text); err == nil && place.standard() {
		if rule, ok := ruleFrom(part); ok {
			c.rule = rule
		}
	}
	return c, nil
}

func (j *schemas) open(name string) (*schemaFile, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.files.open(name)
}

// A validator is a compiled schema.
type validator struct {
	schema *jsonschema.Schema
	shape  func() *contract.Shape
}

func (j *schemas) validator(file *schemaFile, r contract.Reference) (*validator, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.compiler == nil {
		j.compiler = jsonschema.NewCompiler()
		j.compiler.AssertFormat()
		j.compiler.UseLoader(schemaLoader(j.files.load))
		j.compiler.UseRegexpEngine(compilePattern)
		j.compiler.UseTrust(func(doc any) bool { return plain(doc, true) })
	}
	schema, err := j.compiler.Compile(file.url() + "#" + escapeFragment(r.Name))
	if err != nil {
		return nil, j.files.explain(err, r)
	}
	if err := comesToAnEnd(schema); err != nil {
		return nil, j.files.explain(err, r)
	}
	return &validator{schema, sync.OnceValue(func() *contract.Shape {
		j.mu.Lock()
		defer j.mu.Unlock()
		return shapeOf(schema, j.files)
	})}, nil
}

// schemaLoader turns a function into a loader for the library.
type schemaLoader func(url string) (any, error)

// Load returns the document at url.
func (l schemaLoader) Load(url string) (any, error) { return l(url) }

type schemaCodec struct {
	rule      *rule // nil if a rule can't express the schema
	validator func() (*validator, error)
	text      []byte
	part      bool // the schema is part of a file
}

func (c *schemaCodec) Encode(data []byte) ([]byte, []contract.Fault) { return c.check(data, false) }

func (c *schemaCodec) Decode(wire []byte) ([]byte, []contract.Fault) { return c.check(wire, true) }

// check returns data without white space between its parts. With newer, objects may
// have unknown fields.
func (c *schemaCodec) check(data []byte, newer bool) ([]byte, []contract.Fault) {
	if c.rule != nil {
		switch valid, compact := c.rule.recognise(data); {
		case valid && compact:
			return data, nil
		case valid:
			return compacted(data)
		}
	}
	value, err := contract.DecodeJSON(data)
	if err != nil {
		return nil, []contract.Fault{{Problem: err.Error()}}
	}
	if fault := unfit(value); fault != nil {
		return nil, []contract.Fault{*fault}
	}
	if c.rule != nil && c.rule.allows(value, newer) {
		return compacted(data)
	}
	v, err := c.validator()
	if err != nil {
		return nil, []contract.Fault{{Problem: err.Error()}}
	}
	if faults := v.faults(value, len(data), newer); faults != nil {
		return nil, faults
	}
	return compacted(data)
}

func compacted(data []byte) ([]byte, []contract.Fault) {
	var b bytes.Buffer
	b.Grow(len(data))
	if err := json.Compact(&b, data); err != nil {
		return nil, []contract.Fault{{Problem: contract.SyntaxProblem(data, err).Error()}}
	}
	if b.Len() == len(data) {
		return data, nil
	}
	return b.Bytes(), nil
}

func (c *schemaCodec) Shape() *contract.Shape {
	v, err := c.validator()
	if err != nil {
		return &contract.Shape{Kind: contract.Any}
	}
	return v.shape()
}

func (c *schemaCodec) Source() string {
	if !c.part {
		return strings.TrimRight(string(c.text), " \t\r\n") + "\n"
	}
	var b bytes.Buffer
	if err := json.Indent(&b, c.text, "", "  "); err != nil {
		return string(c.text) + "\n"
	}
	return b.String() + "\n"
}

func (c *schemaCodec) Sample() ([]byte, error) {
	v, err := c.validator()
	if err != nil {
		return nil, err
	}
	for value := range samples(v.schema) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(value); err != nil {
			continue
		}
		if data, faults := c.Encode(bytes.TrimSpace(b.Bytes())); faults == nil {
			return data, nil
		}
	}
	return nil, errors.New(`no sample can be made from the contract: add an "example" to the manifest`)
}

// Limits of the data to check, since it may come from anyone: the validator
// recurses, and expands numbers to all their digits.
const (
	maxDepth    = 500
	maxWeight   = 1 << 24 // a value weighs 16 plus its depth: a limit of about a million values
	maxDigits   = 1000
	maxExponent = 3 // digits
)

// unfit returns the limit that value exceeds, or nil.
func unfit(value any) *contract.Fault {
	fault, _ := weigh(value)
	return fault
}

func weigh(value any) (fault *contract.Fault, weight int) {
	var walk func(value any, depth int) *contract.Fault
	walk = func(value any, depth int) *contract.Fault {
		weight += 16 + depth
		switch {
		case depth > maxDepth:
			return &contract.Fault{Problem: fmt.Sprintf("is nested more than %d deep", maxDepth)}
		case weight > maxWeight:
			return &contract.Fault{Problem: "holds too many values to be checked"}
		}
		switch v := value.(type) {
		case json.Number:
			_, exponent, _ := strings.Cut(strings.ToLower(string(v)), "e")
			if len(v) > maxDigits || len(strings.TrimLeft(exponent, "+-0")) > maxExponent {
				return &contract.Fault{Problem: fmt.Sprintf("holds a number that is too large or too long: %s", contract.Shorten(string(v)))}
			}
		case []any:
			for _, item := range v {
				if fault := walk(item, depth+1); fault != nil {
					return fault
				}
			}
		case map[string]any:
			for _, item := range v {
				if fault := walk(item, depth+1); fault != nil {
					return fault
				}
			}
		}
		return nil
	}
	return walk(value, 0), weight
}
