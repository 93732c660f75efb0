package conn

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// A link is the NATS connection under a session of either backend, and how it
// ends.
type link struct {
	opts Options
	nc   *nats.Conn
	life context.Context    // done when the connection was cut
	end  context.CancelFunc // cuts it, whatever is going on

	broken atomic.Bool // the connection broke and was not mended yet
	denied chan error  // cap 1: the newest word of the server on a missing permission

	mu     sync.Mutex
	strict bool  // a missing permission ends the session
	deaf   error // the word of the server that answers can't be heard, nil if they can
	closed bool
	err    error
	lost   chan struct{}
}

// newLink connects to a server. ctx may interrupt it, and nothing later.
func newLink(ctx context.Context, o Options) (*link, error) {
	l := &link{opts: o, denied: make(chan error, 1), lost: make(chan struct{})}
	l.life, l.end = context.WithCancel(context.Background())
	interrupted := context.AfterFunc(ctx, l.end)
	defer interrupted()
	opts, err := o.natsOptions(l.life)
	if err != nil {
		l.end()
		return nil, err
	}
	opts = append(opts,
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { l.disconnected(err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			o.Notify("connected again to " + withoutSecrets(nc.ConnectedUrl()))
		}),
		nats.ClosedHandler(func(nc *nats.Conn) { l.lose(or(nc.LastError(), nats.ErrConnectionClosed)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.heard(err) }),
	)
	if l.nc, err = nats.Connect(o.Servers, opts...); err != nil {
		l.end()
		return nil, explain(err)
	}
	return l, nil
}

// heard takes what the server says outside of any answer.
func (l *link) heard(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		l.opts.Notify("the server says: " + err.Error())
		return
	}
	l.mu.Lock()
	if strings.Contains(err.Error(), "Subscription to") { // said once, however many requests follow
		l.deaf = err
	}
	strict := l.strict
	l.mu.Unlock()
	select {
	case l.denied <- err:
	default:
	}
	if strict {
		l.leave(because(ErrAuth, err))
	}
}

// disconnected runs when the TCP connection broke. With reconnects, nats.go is
// already at work, and the session goes on if the broker still knows it.
func (l *link) disconnected(err error) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return
	}
	l.broken.Store(true)
	why := "the server closed it"
	if err != nil {
		why = err.Error()
	}
	if l.opts.NoReconnect {
		l.lose(errors.New(why))
		return
	}
	l.opts.Notify(fmt.Sprintf("connection to %s lost (%s), connecting again", l.opts.Where(), why))
}

// lose ends the session because its connection or its place at the broker is
// gone. Only the first reason counts.
func (l *link) lose(err error) { l.leave(because(ErrLost, err)) }

// leave ends the session for a reason of its own.
func (l *link) leave(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.err != nil {
		return
	}
	l.err = reason
	close(l.lost)
}

func (l *link) Lost() <-chan struct{} { return l.lost }

func (l *link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// close notes that the session is to end. It reports whether it was not closed
// yet, and whether it was lost.
func (l *link) close() (first, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = !l.closed
	l.closed = true
	return first, l.err != nil
}

// abandon cuts the connection without a word to the broker.
func (l *link) abandon() {
	l.close()
	l.end() // first: Close would wait for a write that hangs
	l.nc.Close()
}

// Servers returns those that were given, and those of their cluster that they
// told of since.
func (l *link) Servers() string {
	servers := strings.Split(l.opts.Servers, ",")
	known := make(map[string]bool, len(servers))
	var user *url.Userinfo
	for _, s := range servers {
		if u, err := parseServer(s); err == nil {
			known[u.Host] = true
			user = or(user, u.User)
		}
	}
	for _, s := range l.nc.DiscoveredServers() {
		if u, err := parseServer(s); err == nil && !known[u.Host] {
			u.User = user
			servers = append(servers, u.String())
		}
	}
	return strings.Join(servers, ",")
}
