package wire

import (
	"context"
	"errors"
	"net"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// A NATS server greets at once. One that has said nothing for silentFor is asked,
// over a connection of its own, whether it speaks HTTP: such a server, a monitoring
// port for one, would wait for as long as the time-out.
const (
	silentFor = 500 * time.Millisecond
	askingFor = time.Second
)

// watchSilence closes c if what is at address says nothing, and speaks HTTP. stop
// ends the watch.
func (d *Dialer) watchSilence(c net.Conn, network, address string) (stop func() bool) {
	d.http.Store(nil)
	return time.AfterFunc(silentFor, func() {
		defer fault.Exit()
		ctx, done := context.WithTimeout(d.Ctx, askingFor)
		defer done()
		other, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return
		}
		defer context.AfterFunc(ctx, func() { _ = other.Close() })()
		defer func() { _ = other.Close() }()
		if _, err = Greet(other, askingFor); errors.Is(err, broker.ErrHTTP) {
			d.http.Store(&err)
			_ = c.Close()
		}
	}).Stop
}
