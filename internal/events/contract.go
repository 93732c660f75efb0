package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"

	infer "github.com/google/jsonschema-go/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Contract is what the publishers and the listeners of one subject have
// agreed on. It is safe for use by several goroutines.
type Contract struct {
	Subject     string
	Description string

	example Event
	schema  func() (*infer.Schema, error) // of the type
	shape   func() *shape
	strict  func() (*jsonschema.Schema, error)
	lenient func() (*jsonschema.Schema, error)
}

// define makes the contract of T's subject from the type itself.
func define[T Event](description string, example T) *Contract {
	c := &Contract{Subject: example.Subject(), Description: description, example: example}
	c.schema = sync.OnceValues(func() (*infer.Schema, error) {
		s, err := infer.For[T](&infer.ForOptions{TypeSchemas: special})
		if err != nil {
			return nil, fmt.Errorf("making the schema of %q: %w", c.Subject, err)
		}
		s.Schema = "https://json-schema.org/draft/2020-12/schema"
		s.Title, s.Description = c.Subject, c.Description
		return s, nil
	})
	c.shape = sync.OnceValue(func() *shape {
		s, err := c.schema()
		if err != nil {
			return nil // the validator will say so
		}
		return shapeOf(s)
	})
	c.strict = sync.OnceValues(func() (*jsonschema.Schema, error) { return c.compile(false) })
	c.lenient = sync.OnceValues(func() (*jsonschema.Schema, error) { return c.compile(true) })
	return c
}

// Schema returns the contract as JSON Schema, draft 2020-12, on one line.
func (c *Contract) Schema() ([]byte, error) {
	s, err := c.schema()
	if err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// Example returns data that keeps the contract, compact JSON.
func (c *Contract) Example() ([]byte, error) {
	_, data, err := Encode(c.example)
	return data, err
}

// Check returns data as it is to be published: itself, without the white space
// between its parts. It must be one JSON object with the contract's fields and
// no others; else the error is an [*InvalidError].
func (c *Contract) Check(data []byte) ([]byte, error) { return c.validate(data, c.strict) }

// Accept is Check for those who listen: it allows fields that the contract
// does not name, since the publisher may be newer.
func (c *Contract) Accept(data []byte) ([]byte, error) { return c.validate(data, c.lenient) }

// special are the types whose contract Go's type system can't express.
var special = map[reflect.Type]*infer.Schema{
	reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"},
	reflect.TypeFor[OrderStatus](): {Type: "string", Enum: []any{
		OrderCreated, OrderCancelled, OrderAwaitingPayment, OrderComplete}},
}

func (c *Contract) compile(lenient bool) (*jsonschema.Schema, error) {
	s, err := c.schema()
	if err != nil {
		return nil, err
	}
	if lenient {
		s = opened(s)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	url := "urn:event:" + c.Subject
	if err := compiler.AddResource(url, doc); err != nil {
		return nil, err
	}
	return compiler.Compile(url)
}

// opened returns a copy of s in which every object may have further fields.
func opened(s *infer.Schema) *infer.Schema {
	s = s.CloneSchemas() // the copy's subschemas are copies, too
	var open func(*infer.Schema)
	open = func(s *infer.Schema) {
		s.AdditionalProperties = nil
		for _, p := range s.Properties {
			open(p)
		}
	}
	open(s)
	return s
}
