package events

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"nats-test/internal/events/contract"
)

// A Contract is what the publishers and the listeners of one subject have
// agreed on. It is compiled when it is first used, and safe for use by several
// goroutines.
type Contract struct {
	Subject     string
	Description string
	Format      *contract.Format

	codec   func() (contract.Codec, error)
	example func() ([]byte, error) // nil: one is made of the contract
}

// newContract returns the contract that compile, called once, makes the codec of.
func newContract(subject, description string, format *contract.Format, compile func() (contract.Codec, error)) *Contract {
	return &Contract{Subject: subject, Description: description, Format: format, codec: sync.OnceValues(compile)}
}

// Compile compiles the contract, which else happens when it is first used. What
// is wrong with a file of the catalogue is a [*SourceError].
func (c *Contract) Compile() error {
	_, err := c.codec()
	return err
}

// Encode checks data, which is JSON whatever the format, and returns its wire
// form: of a contract in JSON Schema, data without white space. Data that breaks the contract, or has fields that it does not name, is an
// [*InvalidError] with every fault.
func (c *Contract) Encode(data []byte) ([]byte, error) {
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	wire, faults := codec.Encode(data)
	return wire, c.invalid(faults)
}

// Decode returns what came over the wire as JSON on one line. It allows what
// the contract does not name, since the publisher may be newer; else what
// breaks the contract, or is no such format, is an [*InvalidError].
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

// Example returns data that keeps the contract, as JSON: what the catalogue
// gives, or a sample made from the contract.
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

// shape returns what the two sides rely on.
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
	return fmt.Sprintf("the data is no %q event: %s", e.Subject, strings.Join(problems, "; "))
}
