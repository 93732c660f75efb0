package events

import (
	"testing"
)

func TestX(t *testing.T) {
	c, _ := Ticketing().Lookup("order:created")
	s, err := c.Schema()
	t.Log(string(s), err)
	x, _ := c.Example()
	t.Log(c.Check(x))
	t.Log(c.Check([]byte(`{"id":1,"status":"x","expiresAt":"tomorrow","ticket":{"id":2,"pric":3},"usrId":"x","version":1.5}`)))
	t.Log(c.Accept([]byte(`{"id":1,"status":"x","expiresAt":"tomorrow","ticket":{"id":2,"pric":3},"usrId":"x"}`)))
	for _, s := range []string{``, `[]`, `{`, `{"a":}`, `{} x`, `nul`, "{\"id\":\"\xff\"}"} {
		t.Log(c.Check([]byte(s)))
	}
	_, err = Ticketing().Lookup("tickets:created")
	t.Logf("%+v", err)
	_, err = Ticketing().Match("ticket:*")
	t.Logf("%+v", err)
}
