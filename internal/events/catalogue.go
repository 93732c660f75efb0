package events

import (
	"fmt"
	"path"

	"nats-test/internal/events/contract"
)

// A Catalogue is the set of events that a team has agreed on.
type Catalogue struct {
	contracts []*Contract
}

func newCatalogue(contracts ...*Contract) *Catalogue {
	return &Catalogue{contracts: contracts}
}

// Contracts returns the contracts in the catalogue's own order.
func (c *Catalogue) Contracts() []*Contract { return c.contracts }

// Subjects returns the subjects in the catalogue's own order.
func (c *Catalogue) Subjects() []string {
	subjects := make([]string, len(c.contracts))
	for i, k := range c.contracts {
		subjects[i] = k.Subject
	}
	return subjects
}

// Lookup returns the contract of subject, or an [*UnknownError].
func (c *Catalogue) Lookup(subject string) (*Contract, error) {
	for _, k := range c.contracts {
		if k.Subject == subject {
			return k, nil
		}
	}
	return nil, &UnknownError{Subject: subject, Nearest: contract.Nearest(subject, c.Subjects())}
}

// Match returns the contracts whose subjects match pattern, in which a "*"
// stands for any run of characters: "ticket:*". A pattern that matches no
// subject is an [*UnknownError].
func (c *Catalogue) Match(pattern string) ([]*Contract, error) {
	var found []*Contract
	for _, k := range c.contracts {
		if ok, err := path.Match(pattern, k.Subject); err == nil && ok {
			found = append(found, k)
		}
	}
	if found == nil {
		return nil, &UnknownError{Subject: pattern, Nearest: contract.Nearest(pattern, c.Subjects())}
	}
	return found, nil
}

// An UnknownError says that the catalogue has no such event.
type UnknownError struct {
	Subject string
	Nearest string // the subject that was perhaps meant, or ""
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the catalogue has no event %q", e.Subject)
}
