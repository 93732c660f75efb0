package connect

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// A byteSize is a flag for a number of bytes.
type byteSize int64

var errSize = errors.New("must be a number of bytes of at least 1, such as 500000, 10MB or 1GiB")

// Set parses a number with an optional unit: kB, MB, GB and TB are powers of 1000;
// k, M, G and T, and KiB and so on, powers of 1024.
func (b *byteSize) Set(text string) error {
	digits := strings.TrimRight(text, "kKMGTiB")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 {
		return errSize
	}
	power, factor := 0, int64(1024)
	if unit := strings.TrimPrefix(text, digits); unit != "" && unit != "B" {
		power = 1 + strings.Index("KMGT", strings.ToUpper(unit[:1]))
		switch unit[1:] {
		case "", "iB":
		case "B":
			factor = 1000
		default:
			power = 0
		}
		if power == 0 {
			return errSize
		}
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

// Type is the placeholder shown by --help.
func (b *byteSize) Type() string { return "SIZE" }
