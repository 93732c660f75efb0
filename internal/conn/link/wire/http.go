package wire

import (
	"context"
	"errors"
	"net"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// A NATS server greets at once. A server that has been silent for silentFor is asked over
// another connection whether it speaks HTTP: an HTTP server, such as a monitoring port,
// would stay silent for the whole time-out.
const (
	silentFor = 500 * time.Millisecond
	askingFor = time.Second
)

// watchSilence closes c if the server at address stays silent and speaks HTTP. stop ends
// the watch.
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
