package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// A Contract is what the publishers and the listeners of one subject have
// agreed on. It is safe for use by several goroutines.
type Contract struct {
	Subject     string
	Description string

	example Event
	schema  func() (*jsonschema.Schema, error) // of the type
	rule    func() (*rule, error)              // what the schema asks for
}

// define makes the contract of T's subject from the type itself.
func define[T Event](description string, example T) *Contract {
	c := &Contract{Subject: example.Subject(), Description: description, example: example}
	c.schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
		s, err := jsonschema.For[T](&jsonschema.ForOptions{TypeSchemas: special()})
		if err != nil {
			return nil, fmt.Errorf("making the schema of %q: %w", c.Subject, err)
		}
		s.Schema = "https://json-schema.org/draft/2020-12/schema"
		s.Title, s.Description = c.Subject, c.Description
		return s, nil
	})
	c.rule = sync.OnceValues(func() (*rule, error) {
		s, err := c.schema()
		if err != nil {
			return nil, err
		}
		return ruleOf(s)
	})
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
func (c *Contract) Check(data []byte) ([]byte, error) { return c.check(data, false) }

// Accept is Check for those who listen: it allows fields that the contract
// does not name, since the publisher may be newer.
func (c *Contract) Accept(data []byte) ([]byte, error) { return c.check(data, true) }

func (c *Contract) check(data []byte, newer bool) ([]byte, error) {
	rule, err := c.rule()
	if err != nil {
		return nil, err
	}
	valid, compact := rule.recognise(data)
	if !valid {
		value, err := decode(data)
		if err != nil {
			return nil, &InvalidError{c.Subject, []Fault{{Problem: err.Error()}}}
		}
		if faults := rule.faults(value, nil, newer, nil); faults != nil {
			slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Path, b.Path) })
			return nil, &InvalidError{c.Subject, faults}
		}
	}
	if valid && compact {
		return data, nil
	}
	var b bytes.Buffer
	b.Grow(len(data))
	err = json.Compact(&b, data)
	return b.Bytes(), err
}

// special returns the schemas of types that say more than Go's type system.
func special() map[reflect.Type]*jsonschema.Schema {
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"},
		reflect.TypeFor[OrderStatus](): {Type: "string", Enum: []any{
			OrderCreated, OrderCancelled, OrderAwaitingPayment, OrderComplete}},
	}
}
