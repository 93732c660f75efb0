package contract

import (
	"cmp"
	"slices"
)

// A Fault is one way in which data breaks its contract.
type Fault struct {
	Path    string // JSON pointer to the place; "" is the data as a whole
	Problem string
}

// MaxFaults is the most faults reported for one event.
const MaxFaults = 100

// Bounded returns the first [MaxFaults] faults by path. more is set if there may be
// others.
func Bounded(faults []Fault, more bool) []Fault {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Problem, b.Problem))
	})
	if len(faults) > MaxFaults {
		faults, more = faults[:MaxFaults], true
	}
	if more && len(faults) > 0 {
		faults = append(faults, Fault{faults[len(faults)-1].Path, "and there are more faults"})
	}
	return faults
}

func (f Fault) String() string {
	if f.Path == "" {
		return f.Problem
	}
	return f.Path + ": " + f.Problem
}
