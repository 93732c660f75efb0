package cli

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// A byteSize is a flag for a number of bytes.
type byteSize int64

var errSize = errors.New("must be a number of bytes of at least 1, such as 500000, 10MB or 1GiB")

// Set reads a number with or without a unit: kB, MB, GB and TB are powers of
// 1000, as elsewhere; k, M, G and T, and KiB and so on, are powers of 1024.
func (b *byteSize) Set(text string) error {
	digits := strings.TrimRight(text, "kKMGTiB")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 {
		return errSize
	}
	unit, factor := text[len(digits):], int64(1024)
	if len(unit) == 2 && unit[1] == 'B' {
		factor = 1000
	}
	prefix := strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "i")
	power := 0
	switch {
	case unit == "", unit == "B":
	case unit == prefix+"i", len(prefix) != 1:
		return errSize
	default:
		power = 1 + strings.Index("KMGT", strings.ToUpper(prefix))
	}
	for range power {
		if n > math.MaxInt64/factor {
			return errSize
		}
		n *= factor
	}
	*b = byteSize(n)
	return nil
}

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Type is what --help calls it.
func (b *byteSize) Type() string { return "SIZE" }
