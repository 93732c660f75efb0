// Package link is one NATS connection: the options that lead to it, NATS contexts,
// who is trusted with secrets, how the servers are reached and reached again, how
// one is asked, and who else listens. It knows NATS, not what is stored there.
package link

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
	"nats-test/internal/conn/link/wire"
	"nats-test/internal/fault"
)

// A Link is the NATS connection under a session of either backend, and how it
// ends.
type Link struct {
	Options Options
	NC      *nats.Conn
	Ctx     context.Context    // done when the connection was cut
	Cancel  context.CancelFunc // cuts it, whatever is going on

	sockets *wire.Dialer
	Trust   *Guard // of the log-ins
	servers serverChoice
	Took    time.Duration // that the answer about the account took

	notices Notices

	Breaks chan struct{} // cap 1: the connection broke
	Broken atomic.Bool   // the connection broke and was not mended yet
	at     atomic.Value  // string: host and port of the server
	asking atomic.Int32  // requests of Ask that wait
	delay  atomic.Int64  // of the latest answer to Inquire, in ns
	denied chan string   // cap 1: words of the server on a missing permission

	rollDenied atomic.Bool // roll calls are not permitted

	mu    sync.Mutex
	rolls []string // subjects of the roll calls of groups that are shared here

	strangers strangers

	rollReplies   []string // where roll calls were answered, the latest
	membersDenied bool     // answering is not permitted

	permissionEndsIt bool  // a missing permission ends the session
	answersDenied    error // the word of the server that answers can't be heard, nil if they can
	closed           bool
	err              error
	lost             chan struct{}
}

// New connects to a server. ctx may interrupt it, and nothing later. more
// is set beside what o says.
func New(ctx context.Context, o Options, more ...nats.Option) (*Link, error) {
	l := &Link{Options: o, denied: make(chan string, 1), Breaks: make(chan struct{}, 1), lost: make(chan struct{})}
	l.Ctx, l.Cancel = context.WithCancel(context.Background())
	l.sockets = &wire.Dialer{Ctx: l.Ctx, Timeout: o.Timeout, Silence: min(o.Timeout, o.bears()), Bears: o.bears(), WebSocket: o.webSocket()}
	l.sockets.Garbled = func() {
		if l.at.Load() != nil { // else there may be another server to connect to
			l.Lose(l.sockets.Refusal())
		}
	}
	l.servers.given = o.hosts()
	l.Trust = newGuard(o)
	l.sockets.Watch = l.Trust
	l.notices.Tell = o.Notify
	interrupted := context.AfterFunc(ctx, l.Cancel)
	defer interrupted()
	opts, err := o.NATSOptions(l.sockets)
	if err != nil {
		l.Cancel()
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
			l.Lose(cmp.Or(nc.LastError(), nats.ErrConnectionClosed))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			defer fault.Exit()
			l.heard(s, err)
		}),
		l.Trust.set,
	)
	if l.NC, err = l.connect(opts); err != nil {
		l.Cancel()
		return nil, o.withoutUser(o.expired(l.sockets.Explain(err)))
	}
	l.at.Store(serverOf(l.NC))
	if refusal := l.sockets.Refusal(); refusal != nil {
		l.Lose(refusal)
	}
	return l, nil
}

func serverOf(nc *nats.Conn) string {
	u, err := ParseServer(nc.ConnectedUrl())
	if err != nil {
		return ""
	}
	return HostOf(u)
}

// heard takes what the server says outside of any answer, and what nats.go says
// of a subscription.
func (l *Link) heard(s *nats.Subscription, err error) {
	if errors.Is(err, wire.ErrUntrusted) { // the guard told of it
		return
	}
	if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) { // which one is missing, it does not say
		l.Leave(broker.Because(broker.ErrSubscriptions, err))
		return
	}
	if errors.Is(err, nats.ErrSlowConsumer) && s != nil {
		if _, limit, _ := s.PendingLimits(); limit == MostWaiting {
			l.Leave(broker.Ended(fmt.Errorf("more than %d MiB of events came at once, and some were dropped", MostWaiting>>20)))
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
		l.answersDenied = err
	}
	strict := l.permissionEndsIt
	l.mu.Unlock()
	select {
	case l.denied <- words:
	default:
	}
	question := strings.Contains(words, ".API.") && !strings.Contains(words, ".CONSUMER.MSG.NEXT.")
	switch asking := l.asking.Load() > 0; {
	case strict && !question:
		l.Leave(broker.Because(broker.ErrAuth, err))
	case !asking:
		l.notices.Say("the server says: " + words)
	}
}

// disconnected runs when the TCP connection broke. With reconnects, nats.go is
// already at work, and the session goes on if the broker still knows it.
func (l *Link) disconnected(err error) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return
	}
	l.Broken.Store(true)
	if errors.Is(l.Err(), broker.ErrGarbled) {
		return
	}
	select {
	case l.Breaks <- struct{}{}:
	default:
	}
	if err == nil {
		err = errors.New("the server closed it")
	}
	if l.Options.NoReconnect {
		l.Lose(err)
		return
	}
	l.Options.Notify(fmt.Sprintf("connection to %s lost (%v), connecting again", l.Options.Where(), err))
}

// Lose ends the session because its connection or its place at the broker is
// gone. Only the first reason counts.
func (l *Link) Lose(err error) { l.Leave(broker.Because(broker.ErrLost, err)) }

// Leave ends the session for a reason of its own.
func (l *Link) Leave(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.err != nil {
		return
	}
	l.err = reason
	close(l.lost)
}

// Lost is closed when the session has ended other than by Close. Err tells why.
func (l *Link) Lost() <-chan struct{} { return l.lost }

// Err returns why the session is lost, nil if it is not.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// MarkClosed notes that the session is to end. It reports whether it was not closed
// yet, and whether it was lost.
func (l *Link) MarkClosed() (first, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = !l.closed
	l.closed = true
	return first, l.err != nil
}

// Abandon cuts the connection without a word to the broker.
func (l *Link) Abandon() {
	l.MarkClosed()
	l.Cancel() // first: Close would wait for a write that hangs
	l.NC.Close()
	l.notices.End()
}

// How many bytes of events may be in flight: at first, at least and at most. They
// are kept until they are acked, so that they can be sent again.
const (
	FirstRoom = 256 << 10
	LeastRoom = 64 << 10
	MostRoom  = 32 << 20
)

// What may wait here of what a server pushes.
const (
	// MostPushed ends a session, for one that asks for less.
	MostPushed = 64 << 20

	// MostWaiting is more than waits where [MostPushed] is noticed in time. More is
	// dropped, which ends the session, too.
	MostWaiting = 2*MostPushed + 1
)

// EndOnDenial has a missing permission end the session, unless it is one to ask.
func (l *Link) EndOnDenial() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.permissionEndsIt = true
}

// AnswersDenied returns the words of the server on a missing permission to
// subscribe to answers, nil if there were none.
func (l *Link) AnswersDenied() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answersDenied
}

// Wrote returns when a write last went on that had to wait, nil for never.
func (l *Link) Wrote() *time.Time { return l.sockets.Moved.Load() }
