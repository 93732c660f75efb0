// Package link implements one NATS connection: its options, NATS contexts, which
// servers are trusted with secrets, how they are reached and reached again, requests,
// and the roll call of a group's members. It knows NATS, but no backend.
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

// A Link is the NATS connection under a session of either backend. It also keeps the
// reason why the session ended.
type Link struct {
	Options Options
	NC      *nats.Conn
	Ctx     context.Context    // done once the connection is cut
	Cancel  context.CancelFunc // cuts the connection at once

	sockets *wire.Dialer
	Trust   *Guard // decides which servers may see the secret
	servers serverChoice
	Took    time.Duration // time until JetStream answered for the account

	notices Notices

	Breaks chan struct{} // cap 1: the connection broke
	Broken atomic.Bool   // the connection is broken at the moment
	at     atomic.Value  // string: host and port of the server
	asking atomic.Int32  // pending requests of Ask
	delay  atomic.Int64  // time until the latest answer to Inquire, in ns
	denied chan string   // cap 1: the server's error on a missing permission

	rollDenied atomic.Bool // roll calls are not permitted

	mu    sync.Mutex
	rolls []string // roll call subjects of this listener's groups

	strangers strangers

	rollReplies   []string // the latest reply subjects of roll calls
	membersDenied bool     // answering roll calls is not permitted

	permissionEndsIt bool  // a missing permission ends the session
	answersDenied    error // set when subscribing to replies is not permitted
	closed           bool
	err              error
	lost             chan struct{}
}

// New connects to a server. ctx can interrupt only the connecting. more are options in
// addition to those of o.
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

// heard handles asynchronous errors: -ERR lines of the server, and nats.go's errors on
// a subscription.
func (l *Link) heard(s *nats.Subscription, err error) {
	if errors.Is(err, broker.ErrUntrusted) { // the guard has reported it
		return
	}
	if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) { // it does not say which subscription was refused
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
		l.notices.Say("the connection says: " + broker.Plain(err))
		return
	}
	words := err.Error()
	if l.ofRoll(words) {
		return
	}
	l.mu.Lock()
	if strings.Contains(words, "Subscription to") { // the server says it once for all requests that follow
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

// disconnected is called when the TCP connection broke. Unless reconnects are off,
// nats.go is connecting again by then, and the session goes on if the broker still
// knows it.
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
	l.Options.Notify(fmt.Sprintf("connection to %s lost (%s), connecting again", l.Options.Where(), broker.Plain(err)))
}

// Lose ends the session because the connection is gone, or the client is no longer
// registered. Only the first reason is kept.
func (l *Link) Lose(err error) { l.Leave(broker.Because(broker.ErrLost, err)) }

// Leave ends the session for the given reason. Only the first one is kept.
func (l *Link) Leave(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.err != nil {
		return
	}
	l.err = reason
	close(l.lost)
}

// Lost is closed when the session ends for another reason than Close. Err returns that
// reason.
func (l *Link) Lost() <-chan struct{} { return l.lost }

// Err returns why the session was lost, nil if it was not.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// MarkClosed marks the session as closed. first is true for the first call, lost if the
// session had been lost before.
func (l *Link) MarkClosed() (first, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = !l.closed
	l.closed = true
	return first, l.err != nil
}

// Abandon cuts the connection without telling the broker.
func (l *Link) Abandon() {
	l.MarkClosed()
	l.Cancel() // first: Close would wait for a write that hangs
	l.NC.Close()
	l.notices.End()
}

// Limits of the bytes of unacked events: initial, lowest and highest. Unacked events
// are kept in memory so that they can be sent again.
const (
	FirstRoom = 256 << 10
	LeastRoom = 64 << 10
	MostRoom  = 32 << 20
)

// Limits of received events that wait for the handler, in bytes.
const (
	// MostPushed is the most that the broker may push before the session ends, which
	// then asks for less.
	MostPushed = 64 << 20

	// MostWaiting is nats.go's limit of a subscription, higher than MostPushed so that
	// it is reached only when that was noticed too late. nats.go drops events beyond
	// it, which ends the session, too.
	MostWaiting = 2*MostPushed + 1
)

// EndOnDenial makes a missing permission end the session, unless it concerns a request.
func (l *Link) EndOnDenial() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.permissionEndsIt = true
}

// AnswersDenied returns the server's error on a missing permission to subscribe to
// replies, nil if there was none.
func (l *Link) AnswersDenied() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answersDenied
}

// Wrote returns when a blocked write last made progress, nil for never.
func (l *Link) Wrote() *time.Time { return l.sockets.Moved.Load() }
