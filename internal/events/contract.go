package events

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"nats-test/internal/events/contract"
)

// A Contract is the agreement of the publishers and listeners of one subject. It is
// compiled on first use, and safe for concurrent use.
type Contract struct {
	Subject     string
	Description string
	Format      *contract.Format

	codec   func() (contract.Codec, error)
	example func() ([]byte, error) // nil: a sample is made from the contract
}

// newContract returns a contract whose codec is made by compile, called once.
func newContract(subject, description string, format *contract.Format, compile func() (contract.Codec, error)) *Contract {
	return &Contract{Subject: subject, Description: description, Format: format, codec: sync.OnceValues(compile)}
}

// Compile compiles the contract, which otherwise happens on first use. An invalid
// file of the catalogue is a [*SourceError].
func (c *Contract) Compile() error {
	_, err := c.codec()
	return err
}

// Encode checks data, which is JSON for every format, and returns its wire form;
// for JSON Schema, that is data without white space. Data that breaks the contract
// or has unknown fields is an [*InvalidError] with every fault.
func (c *Contract) Encode(data []byte) ([]byte, error) {
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	wire, faults := codec.Encode(data)
	return wire, c.invalid(faults)
}

// Decode returns wire data as JSON on one line. It allows unknown fields, since the
// publisher may be newer. Data that breaks the contract otherwise, or is not in its
// format, is an [*InvalidError].
func (c *Contract) Decode(wire []byte) ([]byte, error) {
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	data, faults := codec.Decode(wire)
	return data, c.invalid(faults)
}

func (c *Contract) invalid(faults []contract.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b contract.Fault) int { return cmp.Compare(a.Path, b.Path) })
	return &InvalidError{c.Subject, faults}
}

// Example returns valid data as JSON: the catalogue's example, or a sample made
// from the contract.
func (c *Contract) Example() ([]byte, error) {
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	if c.example != nil {
		return c.example()
	}
	data, err := codec.Sample()
	if err != nil {
		return nil, fmt.Errorf("making a sample of %q: %w", c.Subject, err)
	}
	return data, nil
}

// Source returns the contract in its own language.
func (c *Contract) Source() (string, error) {
	codec, err := c.codec()
	if err != nil {
		return "", err
	}
	return codec.Source(), nil
}

// shape returns the shape of the contract.
func (c *Contract) shape() (*contract.Shape, error) {
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	return codec.Shape(), nil
}

// An InvalidError lists every fault of one event's data, ordered by path.
type InvalidError struct {
	Subject string
	Faults  []contract.Fault
}

func (e *InvalidError) Error() string {
	problems := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		problems[i] = f.String()
	}
	return fmt.Sprintf("the data is not a valid %q event: %s", e.Subject, strings.Join(problems, "; "))
}
