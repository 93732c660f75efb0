package contract

import "testing"

func TestIsInteger(t *testing.T) {
	for number, want := range map[string]bool{
		"0": true, "-0": true, "1": true, "1.0": true, "1.5": false, "15e-1": false, "10e-1": true, "1.5e1": true, "1.55e1": false,
		"0.0e-5": true, "0e-9999999999999999999": true, "1e99999999999999999999": true, "1e-99999999999999999999": false,
		"9007199254740993.5": false, "100e-2": true, "100e-3": false, "0.10e1": true, "0.01E+2": true,
	} {
		if IsInteger(number) != want {
			t.Errorf("%s: %v", number, !want)
		}
	}
}

// Go's time takes more than RFC 3339 allows.
func TestParseTime(t *testing.T) {
	for text, want := range map[string]bool{
		"2030-01-02T03:04:05Z": true, "2030-01-02t03:04:05.5z": true, "2030-01-02T03:04:05+23:59": true,
		"2030-01-02T3:04:05Z": false, "0000-01-01T0:00:00Z": false, "2030-01-02T03:04:05,5Z": false,
		"2030-01-02T03:04:05+24:00": false, "2030-01-02T03:04:05-23:60": false, "2030-02-29T03:04:05Z": false, "Z": false, "": false,
	} {
		if _, ok := ParseTime(text); ok != want {
			t.Errorf("%s: %v", text, ok)
		}
	}
}
