package conn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// A link is the NATS connection under a session of either backend, and how it
// ends.
type link struct {
	opts Options
	nc   *nats.Conn
	life context.Context    // done when the connection was cut
	end  context.CancelFunc // cuts it, whatever is going on

	sockets *dialer
	trust   *guard // of the log-ins
	servers serverChoice
	took    time.Duration // that the answer about the account took

	notices Notices

	breaks chan struct{} // cap 1: the connection broke
	broken atomic.Bool   // the connection broke and was not mended yet
	at     atomic.Value  // string: host and port of the server
	asking atomic.Int32  // requests of ask that wait
	delay  atomic.Int64  // of the latest answer to inquire, in ns
	denied chan string   // cap 1: words of the server on a missing permission

	rollDenied atomic.Bool // roll calls are not permitted

	mu    sync.Mutex
	rolls []string // subjects of the roll calls of groups that are shared here

	strangers strangers

	rollReplies []string // where roll calls were answered, the latest
	rollMute    bool     // answering is not permitted

	strict bool  // a missing permission ends the session
	deaf   error // the word of the server that answers can't be heard, nil if they can
	closed bool
	err    error
	lost   chan struct{}
}

// newLink connects to a server. ctx may interrupt it, and nothing later. more
// is set beside what o says.
func newLink(ctx context.Context, o Options, more ...nats.Option) (*link, error) {
	l := &link{opts: o, denied: make(chan string, 1), breaks: make(chan struct{}, 1), lost: make(chan struct{})}
	l.life, l.end = context.WithCancel(context.Background())
	l.sockets = &dialer{life: l.life, timeout: o.Timeout, silence: min(o.Timeout, o.bears()), bears: o.bears(), webSocket: o.webSocket()}
	l.sockets.garbled = func() {
		if l.at.Load() != nil { // else there may be another server to connect to
			l.lose(l.sockets.refusal())
		}
	}
	l.servers.given = o.hosts()
	l.trust = newGuard(o)
	l.sockets.guard = l.trust
	l.notices.Tell = o.Notify
	interrupted := context.AfterFunc(ctx, l.end)
	defer interrupted()
	opts, err := o.natsOptions(l.sockets)
	if err != nil {
		l.end()
		return nil, err
	}
	opts = append(append(opts, more...),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			defer fault.Exit()
			l.disconnected(err)
		}),
		nats.ReconnectToServer(l.nextServer),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			defer fault.Exit()
			l.at.Store(serverOf(nc))
			o.Notify("connected again to " + ShownURL(nc.ConnectedUrl()))
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			defer fault.Exit()
			l.lose(cmp.Or(nc.LastError(), nats.ErrConnectionClosed))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			defer fault.Exit()
			l.heard(s, err)
		}),
		l.trust.set,
	)
	if l.nc, err = l.connect(opts); err != nil {
		l.end()
		return nil, o.expired(l.sockets.explain(err))
	}
	l.at.Store(serverOf(l.nc))
	if refusal := l.sockets.refusal(); refusal != nil {
		l.lose(refusal)
	}
	return l, nil
}

func serverOf(nc *nats.Conn) string {
	u, err := parseServer(nc.ConnectedUrl())
	if err != nil {
		return ""
	}
	return hostOf(u)
}

// heard takes what the server says outside of any answer, and what nats.go says
// of a subscription.
func (l *link) heard(s *nats.Subscription, err error) {
	if errors.Is(err, errUntrusted) { // the guard told of it
		return
	}
	if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) { // which one is missing, it does not say
		l.leave(broker.Because(broker.ErrSubscriptions, err))
		return
	}
	if errors.Is(err, nats.ErrSlowConsumer) && s != nil {
		if _, limit, _ := s.PendingLimits(); limit == mostWaiting {
			l.leave(broker.Ended(fmt.Errorf("more than %d MiB of events came at once, and some were dropped", mostWaiting>>20)))
			return
		}
	}
	if !errors.Is(err, nats.ErrPermissionViolation) {
		l.notices.Say("the connection says: " + err.Error())
		return
	}
	words := err.Error()
	if l.ofRoll(words) {
		return
	}
	l.mu.Lock()
	if strings.Contains(words, "Subscription to") { // said once, however many requests follow
		l.deaf = err
	}
	strict := l.strict
	l.mu.Unlock()
	select {
	case l.denied <- words:
	default:
	}
	question := strings.Contains(words, ".API.") && !strings.Contains(words, ".CONSUMER.MSG.NEXT.")
	switch asking := l.asking.Load() > 0; {
	case strict && !question:
		l.leave(broker.Because(broker.ErrAuth, err))
	case !asking:
		l.notices.Say("the server says: " + words)
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
	if errors.Is(l.Err(), broker.ErrGarbled) {
		return
	}
	select {
	case l.breaks <- struct{}{}:
	default:
	}
	if err == nil {
		err = errors.New("the server closed it")
	}
	if l.opts.NoReconnect {
		l.lose(err)
		return
	}
	l.opts.Notify(fmt.Sprintf("connection to %s lost (%v), connecting again", l.opts.Where(), err))
}

// lose ends the session because its connection or its place at the broker is
// gone. Only the first reason counts.
func (l *link) lose(err error) { l.leave(broker.Because(broker.ErrLost, err)) }

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
	l.notices.End()
}

// What may wait here of what a server pushes.
const (
	// mostPushed ends a session, for one that asks for less.
	mostPushed = 64 << 20

	// mostWaiting is more than waits where mostPushed is noticed in time. More is
	// dropped, which ends the session, too.
	mostWaiting = 2*mostPushed + 1
)

// EndOnDenial has a missing permission end the session, unless it is one to ask.
func (l *link) EndOnDenial() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strict = true
}

// AnswersDenied returns the words of the server on a missing permission to
// subscribe to answers, nil if there were none.
func (l *link) AnswersDenied() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deaf
}

// Wrote returns when a write last went on that had to wait, nil for never.
func (l *link) Wrote() *time.Time { return l.sockets.moved.Load() }
