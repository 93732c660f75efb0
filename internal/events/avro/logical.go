package avro

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"nats-test/internal/events/contract"
)

// A unit describes the counting unit and the text form of a date or time type.
type unit struct {
	length  time.Duration
	layout  string
	example string
	day     bool // time of day
}

// unit returns the unit of a date or time type.
func (t *schemaType) unit() (u unit, ok bool) {
	if t.logical == "" {
		return u, false
	}
	base, size, _ := strings.Cut(strings.TrimPrefix(t.logical, "local-"), "-")
	fraction := ""
	switch size {
	case "millis":
		u.length, fraction = time.Millisecond, ".000"
	case "micros":
		u.length, fraction = time.Microsecond, ".000000"
	case "nanos":
		u.length, fraction = time.Nanosecond, ".000000000"
	}
	switch base {
	case "date":
		return unit{24 * time.Hour, time.DateOnly, "2030-01-02", false}, true
	case "time":
		u.layout, u.example, u.day = "15:04:05"+fraction, "03:04:05", true
	case "timestamp":
		u.layout, u.example = "2006-01-02T15:04:05"+fraction, "2030-01-02T03:04:05"
		if !strings.HasPrefix(t.logical, "local-") {
			u.layout, u.example = u.layout+"Z", u.example+"Z"
		}
	default:
		return u, false
	}
	return u, true
}

// appendInteger appends a number, or its date or time. A date or time that RFC 3339
// can't express remains a number.
func (t *schemaType) appendInteger(out []byte, n int64) []byte {
	if t.logical == "" {
		return strconv.AppendInt(out, n, 10)
	}
	u, _ := t.unit()
	if u.day && (n < 0 || n >= int64(24*time.Hour/u.length)) {
		return strconv.AppendInt(out, n, 10)
	}
	at := u.time(n)
	if at.Year() < 0 || at.Year() > 9999 {
		return strconv.AppendInt(out, n, 10)
	}
	return append(at.AppendFormat(append(out, '"'), u.layout), '"')
}

func (u unit) time(n int64) time.Time {
	if u.length > time.Second {
		const seconds = 24 * 60 * 60
		return time.Unix(n*seconds, 0).UTC() // a date is an int
	}
	perSecond := int64(time.Second / u.length)
	return time.Unix(n/perSecond, n%perSecond*int64(u.length)).UTC()
}

// parse returns the number for a date or time.
func (u unit) parse(text, word string) (n int64, problem string) {
	full := strings.ToUpper(text)
	switch {
	case u.day:
		full = "1970-01-01T" + full + "Z"
	case u.layout == time.DateOnly:
		full += "T00:00:00Z"
	case !strings.HasSuffix(u.layout, "Z"):
		full += "Z"
	}
	at, ok := contract.ParseTime(full)
	if len(text) > 64 || !ok {
		return 0, fmt.Sprintf("%s is not a %s, such as %s", contract.Quote(text), word, u.example)
	}
	_, fraction, _ := strings.Cut(full, ".")
	digits := len(fraction) - len(strings.TrimLeft(fraction, "0123456789"))
	if digits > 9 || u.length < time.Second && at.Nanosecond()%int(u.length) != 0 {
		return 0, fmt.Sprintf("%s is finer than %s can hold", contract.Quote(text), word)
	}
	if u.length > time.Second {
		return at.Unix() / (24 * 60 * 60), "" // at midnight: divides evenly
	}
	perSecond := int64(time.Second / u.length)
	n = at.Unix()*perSecond + int64(at.Nanosecond())/int64(u.length)
	if !u.time(n).Equal(at) {
		return 0, fmt.Sprintf("%s is out of range for %s", contract.Quote(text), word)
	}
	return n, ""
}

// scaled returns a JSON number times 10^scale. exact is false if digits would be
// lost, fits is false if the result has more than the given number of digits.
func scaled(number string, scale, digits int) (n *big.Int, exact, fits bool) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	negative := strings.HasPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	fraction = strings.TrimRight(fraction, "0")
	all := strings.TrimLeft(whole+fraction, "0")
	if all == "" {
		return new(big.Int), true, true
	}
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift > math.MaxInt32 || shift < math.MinInt32 {
			return nil, !strings.HasPrefix(exponent, "-"), false
		}
	}
	shift += scale - len(fraction)
	if shift < 0 {
		if len(all)-len(strings.TrimRight(all, "0")) < -shift {
			return nil, false, false
		}
		all, shift = all[:len(all)+shift], 0
	}
	if len(all)+shift > digits {
		return nil, true, false
	}
	all += strings.Repeat("0", shift)
	n, ok := new(big.Int).SetString(all, 10)
	if ok && negative {
		n.Neg(n)
	}
	return n, true, ok
}

// appendDecimal appends a decimal as text, with all digits of the scale.
func (t *schemaType) appendDecimal(out, b []byte) ([]byte, string) {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	tooLong := fmt.Sprintf("is out of range for %s", t.word())
	if len(b) > t.precision/2+2 { // a byte has more than two digits: skip the conversion of a number that is too long
		return out, tooLong
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	digits := new(big.Int).Abs(n).String()
	if len(digits) > t.precision {
		return out, tooLong
	}
	if missing := t.scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	out = append(out, '"')
	if n.Sign() < 0 {
		out = append(out, '-')
	}
	point := len(digits) - t.scale
	out = append(out, digits[:point]...)
	if t.scale > 0 {
		out = append(append(out, '.'), digits[point:]...)
	}
	return append(out, '"'), ""
}

// twosComplement returns the shortest big-endian bytes of n.
func twosComplement(n *big.Int) []byte {
	if n.Sign() < 0 {
		b := twosComplement(new(big.Int).Not(n))
		for i := range b {
			b[i] = ^b[i]
		}
		return b
	}
	return n.FillBytes(make([]byte, n.BitLen()/8+1))
}

// appendBytes appends a value of type bytes or fixed as JSON.
func (t *schemaType) appendBytes(out, b []byte) ([]byte, string) {
	switch t.logical {
	case "decimal":
		return t.appendDecimal(out, b)
	case "uuid":
		id, err := uuid.FromBytes(b)
		if err != nil {
			return out, err.Error()
		}
		return append(append(append(out, '"'), id.String()...), '"'), ""
	case "duration":
		for i, name := range durationParts {
			out = append(append(append(out, "{,,"[i], '"'), name...), '"', ':')
			out = strconv.AppendUint(out, uint64(binary.LittleEndian.Uint32(b[4*i:])), 10)
		}
		return append(out, '}'), ""
	}
	out = append(out, '"')
	for _, c := range b {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ' || c > '~':
			const hex = "0123456789abcdef"
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"'), ""
}

var durationParts = [3]string{"months", "days", "millis"}

func isUUID(text string) bool {
	_, err := uuid.Parse(text)
	return err == nil && len(text) == 36 // other forms exist
}

// uuidBytes returns the bytes of a text accepted by isUUID.
func uuidBytes(text string) []byte {
	id, _ := uuid.Parse(text)
	return id[:]
}
