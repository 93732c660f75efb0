package events

import "testing"

var ticket = []byte(`{"id":"ticket-000001","version":1,"title":"Concert in the great hall, row 12","price":20.5,"userId":"user-00000001"}`)

func BenchmarkRecognised(b *testing.B) {
	c, _ := Ticketing().Lookup("ticket:created")
	for b.Loop() {
		if _, err := c.Check(ticket); err != nil {
			b.Fatal(err)
		}
	}
}
