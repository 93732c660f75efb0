package avro

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"nats-test/internal/events/contract"
)

// number writes a number. It returns false if t is not a type of numbers.
func (w *valueWriter) number(t *schemaType, text string) bool {
	switch {
	case t.kind == "int", t.kind == "long":
		digits, bits := 19, 64
		if t.kind == "int" {
			digits, bits = 10, 32
		}
		n, exact, fits := scaled(text, 0, digits)
		switch {
		case !exact:
			w.fault("is %s, must be %s", contract.Shorten(text), t.word())
		case !fits || !n.IsInt64() || bits == 32 && n.Int64() != int64(int32(n.Int64())):
			w.fault("%s is out of range for %s", contract.Shorten(text), t.kind)
		default:
			w.wire = binary.AppendVarint(w.wire, n.Int64())
		}
	case t.kind == "float":
		f, err := strconv.ParseFloat(text, 32)
		if err != nil {
			w.fault("%s is out of range for float", contract.Shorten(text))
		}
		w.wire = binary.LittleEndian.AppendUint32(w.wire, math.Float32bits(float32(f)))
	case t.kind == "double":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			w.fault("%s is out of range for double", contract.Shorten(text))
		}
		w.wire = binary.LittleEndian.AppendUint64(w.wire, math.Float64bits(f))
	case t.logical == "decimal":
		w.decimal(t, text)
	default:
		return false
	}
	return true
}

func (w *valueWriter) decimal(t *schemaType, text string) {
	n, exact, fits := scaled(text, t.scale, t.precision)
	if !exact {
		w.fault("%s has more than %d digits after the point, must be %s", contract.Shorten(text), t.scale, t.word())
		return
	}
	if !fits {
		w.fault("%s is out of range for %s", contract.Shorten(text), t.word())
		return
	}
	b := twosComplement(n)
	if t.kind == "bytes" {
		w.count(len(b))
	}
	if t.size > maxMade {
		w.tooLarge()
		return
	}
	for range t.size - len(b) {
		w.wire = append(w.wire, byte(n.Sign()>>1)) // 0xff for a negative number
	}
	w.wire = append(w.wire, b...)
}

// text writes a string. It returns false if t is not a type of strings.
func (w *valueWriter) text(t *schemaType, text string) bool {
	u, isTime := t.unit()
	switch {
	case isTime:
		n, problem := u.parse(text, t.logical)
		if problem != "" {
			w.fault("%s", problem)
		}
		w.wire = binary.AppendVarint(w.wire, n)
	case t.logical == "decimal" && contract.IsJSONNumber(text):
		w.decimal(t, text)
	case t.logical == "decimal":
		w.fault("%s is not a decimal, such as %s", contract.Quote(text), t.example())
	case t.logical == "uuid" && !isUUID(text):
		w.fault("%s is not a uuid", contract.Quote(text))
	case t.logical == "uuid" && t.kind == "fixed":
		w.wire = append(w.wire, uuidBytes(text)...)
	case t.kind == "string":
		w.count(len(text))
		w.wire = append(w.wire, text...)
	case t.logical == "duration":
		return false
	case t.kind == "bytes", t.kind == "fixed":
		w.bytes(t, text)
	case t.kind == "enum":
		n := slices.Index(t.symbols, text)
		if n < 0 {
			w.fault("is %s, must be one of %s", contract.Quote(text), contract.QuotedList(t.symbols))
		}
		w.count(n)
	case t.kind == "float", t.kind == "double":
		f := map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}
		n, ok := f[text]
		switch {
		case !ok:
			return false
		case t.kind == "float":
			w.wire = binary.LittleEndian.AppendUint32(w.wire, math.Float32bits(float32(n)))
		default:
			w.wire = binary.LittleEndian.AppendUint64(w.wire, math.Float64bits(n))
		}
	default:
		return false
	}
	return true
}

// bytes writes a string of code points up to 255 as a byte each.
func (w *valueWriter) bytes(t *schemaType, text string) {
	n := utf8.RuneCountInString(text)
	if t.kind == "bytes" {
		w.count(n)
	} else if n != t.size {
		w.fault("has %d bytes, must have %d", n, t.size)
		return
	}
	for _, c := range text {
		if c > math.MaxUint8 {
			w.fault("holds %q, must be bytes: characters up to U+00FF", c)
			return
		}
		w.wire = append(w.wire, byte(c))
	}
}
