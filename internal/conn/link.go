package conn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A link is the NATS connection under a session of either backend, and how it
// ends.
type link struct {
	opts Options
	nc   *nats.Conn
	life context.Context    // done when the connection was cut
	end  context.CancelFunc // cuts it, whatever is going on

	breaks chan struct{} // cap 1: the connection broke
	broken atomic.Bool   // the connection broke and was not mended yet
	at     atomic.Value  // string: host and port of the server
	asking atomic.Int32  // requests of ask that wait
	denied chan string   // cap 1: words of the server on a missing permission

	rollDenied atomic.Bool // roll calls are not permitted

	mu    sync.Mutex
	rolls []string // subjects of the roll calls of groups that are shared here

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
	interrupted := context.AfterFunc(ctx, l.end)
	defer interrupted()
	opts, err := o.natsOptions(l.life)
	if err != nil {
		l.end()
		return nil, err
	}
	opts = append(append(opts, more...),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { l.disconnected(err) }),
		nats.ReconnectToServer(l.nextServer),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			l.at.Store(hostOf(nc))
			o.Notify("connected again to " + withoutSecrets(nc.ConnectedUrl()))
		}),
		nats.ClosedHandler(func(nc *nats.Conn) { l.lose(or(nc.LastError(), nats.ErrConnectionClosed)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.heard(err) }),
	)
	if l.nc, err = nats.Connect(o.Servers, opts...); err != nil {
		l.end()
		return nil, explain(err)
	}
	l.at.Store(hostOf(l.nc))
	return l, nil
}

func hostOf(nc *nats.Conn) string {
	u, err := parseServer(nc.ConnectedUrl())
	if err != nil {
		return ""
	}
	return u.Host
}

// nextServer chooses the server that was tried least, rather another than the
// one that was lost. The first attempt has to wait, too: long enough that
// sending fails meanwhile, and who sends knows that the connection broke before
// another is there.
func (l *link) nextServer(servers []nats.Server, _ nats.ServerInfo) (*nats.Server, time.Duration) {
	lost, _ := l.at.Load().(string)
	tried := func(s nats.Server) int {
		if s.URL.Host == lost {
			return 2*s.Reconnects + 1
		}
		return 2 * s.Reconnects
	}
	next := slices.MinFunc(servers, func(a, b nats.Server) int { return tried(a) - tried(b) })
	if next.Reconnects == 0 {
		return &next, 50 * time.Millisecond
	}
	b := newBackoff()
	for range min(next.Reconnects, 20) - 1 {
		b.NextBackOff()
	}
	return &next, b.NextBackOff()
}

// heard takes what the server says outside of any answer.
func (l *link) heard(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		l.opts.Notify("the connection says: " + err.Error())
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
		l.leave(because(ErrAuth, err))
	case !asking:
		l.opts.Notify("the server says: " + words)
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
	select {
	case l.breaks <- struct{}{}:
	default:
	}
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

// Others returns the servers of the cluster that those given told of, as URLs,
// separated by commas. They may hold secrets.
func (l *link) Others() string {
	var user string
	known := make(map[string]bool)
	for s := range strings.SplitSeq(l.opts.Servers, ",") {
		if u, err := parseServer(s); err == nil {
			known[u.Host] = true
			if u.User != nil && user == "" {
				user = strings.ReplaceAll(u.User.String(), ",", "%2C") + "@"
			}
		}
	}
	var others []string
	for _, s := range l.nc.DiscoveredServers() {
		if u, err := parseServer(s); err == nil && !known[u.Host] {
			others = append(others, u.Scheme+"://"+user+u.Host)
		}
	}
	return strings.Join(others, ",")
}

// ask runs a request that ends when it is denied, the session is lost, or the
// time-out is over: the server does not answer a request that it denies.
func (l *link) ask(ctx context.Context, request func(context.Context) error) error {
	return l.askOnce(ctx, func(ctx context.Context) error { return insist(ctx, request) })
}

// askOnce makes the request just once: some take a cluster seconds to answer.
func (l *link) askOnce(ctx context.Context, request func(context.Context) error) error {
	l.mu.Lock()
	deaf := l.deaf
	l.mu.Unlock()
	if deaf != nil {
		return because(ErrAuth, deaf)
	}
	l.asking.Add(1)
	defer l.asking.Add(-1)
	select {
	case <-l.denied: // an earlier one
	default:
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeoutCause(ctx, l.opts.Timeout, because(ErrHung, fmt.Errorf("no answer within %v", l.opts.Timeout)))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case words := <-l.denied:
			cancel(because(ErrAuth, errors.New(words)))
		case <-l.lost:
			cancel(l.Err())
		case <-ctx.Done():
		}
	}()
	err := request(ctx)
	if _, answered := errors.AsType[*jetstream.APIError](err); err != nil && ctx.Err() != nil && !answered {
		err = context.Cause(ctx)
	}
	stop()
	cancel(nil)
	<-watched
	return err
}

// insist makes a request again that got no answer, or that of a cluster without
// a leader, until ctx is done: in such a cluster requests are lost.
func insist(ctx context.Context, request func(context.Context) error) error {
	for patience := answerPatience / 2; ; patience = answerPatience {
		attempt, stop := context.WithTimeout(ctx, patience)
		err := request(attempt)
		api, isAPI := errors.AsType[*jetstream.APIError](err)
		again := isAPI && transient(api) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
		if again {
			select {
			case <-attempt.Done():
			case <-time.After(answerPatience / 10):
			}
		}
		stop()
		if !again || ctx.Err() != nil {
			return err
		}
	}
}
