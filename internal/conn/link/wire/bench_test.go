package wire

import (
	"strings"
	"testing"
)

// BenchmarkGuard reads what a busy publisher or listener is told.
func BenchmarkGuard(b *testing.B) {
	for name, message := range map[string]string{
		"ack":   "MSG _INBOX.9ZxWqkH2Xo1ZyYyB4mT0aQ.Yc3Fk 7 43\r\n{\"stream\":\"ticket:created\",\"seq\":123456789}\r\n",
		"event": "MSG ticket:created 12 $JS.ACK.ticket:created.g_ticket:created.1.1234.1234.1700000000000000000.5 120\r\n" + strings.Repeat("x", 120) + "\r\n",
		"large": "MSG ticket:created 12 100000\r\n" + strings.Repeat("x", 100000) + "\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			g := newInspector()
			if _, err := g.check([]byte(hello)); err != nil {
				b.Fatal(err)
			}
			text := []byte(strings.Repeat(message, 1+32<<10/len(message)))
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(text) / len(message) {
				if _, err := g.check(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
