package connect

import (
	"math"
	"testing"
)

func TestByteSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "500000": 500_000, "7B": 7, "10kB": 10_000, "10MB": 10_000_000, "2GB": 2_000_000_000, "1TB": 1_000_000_000_000,
		"10k": 10 << 10, "10K": 10 << 10, "3M": 3 << 20, "1G": 1 << 30, "1KiB": 1 << 10, "1MiB": 1 << 20, "5GiB": 5 << 30, "1TiB": 1 << 40,
		"9223372036854775807": math.MaxInt64,
	} {
		var b byteSize
		if err := b.Set(text); err != nil || int64(b) != want {
			t.Errorf("%q: %d, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5M", "M", "1X", "1i", "1iB", "1MM", "1BB", "1MBi", "1 MB", "9223372036854775807k", "9223372036854775808"} {
		var b byteSize
		if err := b.Set(text); err == nil {
			t.Errorf("%q: %d", text, b)
		}
	}
}
