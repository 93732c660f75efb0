package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"
	"github.com/nats-io/stan.go/pb"
)

// The broker is asked for a sign of life every 3 s; 5 missing answers end the
// session after about 15 s. (stan.go's own defaults take 440 s.)
const (
	pingSeconds = 3
	pingMaxOut  = 5
)

// envelope is how many bytes of the server's payload limit NATS Streaming
// needs beside the data: field tags, lengths and two IDs, then the names.
const envelope = 128

// stanSession is a session with NATS Streaming.
type stanSession struct {
	opts Options
	nc   *nats.Conn
	sc   stan.Conn
	end  context.CancelFunc // cuts the network, whatever is going on

	mu     sync.Mutex
	subs   []stan.Subscription
	closed bool
	err    error
	lost   chan struct{}
}

func dialStan(ctx context.Context, o Options) (Session, error) {
	o.ClientID = or(o.ClientID, NewClientID("client"))
	attempt := fmt.Sprintf("connecting to cluster %q at %s", o.Cluster, o.Where())
	for _, err := range []error{CheckClientID(o.ClientID), CheckCluster(o.Cluster), o.checkServers()} {
		if err != nil {
			return nil, err
		}
	}
	life, end := context.WithCancel(context.Background())
	interrupted := context.AfterFunc(ctx, end)
	s := &stanSession{opts: o, end: end, lost: make(chan struct{})}
	err := s.connect(life)
	if !interrupted() && ctx.Err() != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		s.abandon()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", attempt, context.Cause(ctx))
		}
		return nil, fmt.Errorf("%s: %w", attempt, err)
	}
	return s, nil
}

func (s *stanSession) connect(life context.Context) error {
	opts, err := s.opts.natsOptions(life)
	if err != nil {
		return err
	}
	opts = append(opts,
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { s.disconnected(err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			s.opts.Notify("connected again to " + withoutSecrets(nc.ConnectedUrl()))
		}),
		nats.ClosedHandler(func(nc *nats.Conn) { s.lose(or(nc.LastError(), nats.ErrConnectionClosed)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.opts.Notify("the server says: " + err.Error())
		}),
	)
	if s.nc, err = nats.Connect(s.opts.Servers, opts...); err != nil {
		return explain(err)
	}
	stopped := context.AfterFunc(life, s.nc.Close) // ends stan.go's wait for an answer
	defer stopped()
	s.sc, err = stan.Connect(s.opts.Cluster, s.opts.ClientID,
		stan.NatsConn(s.nc),
		stan.ConnectWait(s.opts.Timeout),
		stan.PubAckWait(s.opts.Timeout),
		stan.MaxPubAcksInflight(s.opts.Window),
		stan.Pings(pingSeconds, pingMaxOut),
		stan.SetConnectionLostHandler(func(_ stan.Conn, err error) { s.lose(err) }),
	)
	if err != nil {
		return s.explainConnect(err)
	}
	return nil
}

// explainConnect finds the reason behind an error of stan.Connect, which gives
// the same one where the cluster is absent and where it does not answer.
func (s *stanSession) explainConnect(err error) error {
	if denied := s.nc.LastError(); errors.Is(denied, nats.ErrPermissionViolation) {
		return because(ErrAuth, denied)
	}
	switch {
	case errors.Is(err, stan.ErrConnectReqTimeout):
		if _, e := s.nc.Request(discovery(s.opts.Cluster), ping(s.opts.ClientID), s.opts.Timeout); errors.Is(e, nats.ErrNoResponders) {
			return because(ErrNoCluster, err)
		}
		return because(ErrHung, err)
	case strings.Contains(err.Error(), "clientID already registered"): // stan.go has no value for it
		return because(ErrClientIDTaken, err)
	}
	return err
}

// discovery is the subject on which the servers of a cluster answer pings
// (nats-streaming-server, initSubscriptions).
func discovery(cluster string) string { return stan.DefaultDiscoverPrefix + "." + cluster + ".pings" }

// ping is a question that any server of the cluster answers, if only with
// "unknown": it leaves an empty one without an answer.
func ping(id string) []byte {
	b, _ := (&pb.Ping{ConnID: []byte(id)}).Marshal() // bytes always marshal
	return b
}

// disconnected runs when the TCP connection broke. With reconnects, nats.go is
// already at work, and the session goes on if the broker still knows it.
func (s *stanSession) disconnected(err error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return
	}
	why := "the server closed it"
	if err != nil {
		why = err.Error()
	}
	if s.opts.NoReconnect {
		s.lose(errors.New(why))
		return
	}
	s.opts.Notify(fmt.Sprintf("connection to %s lost (%s), connecting again", s.opts.Where(), why))
}

// lose ends the session. Only the first reason counts.
func (s *stanSession) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.err != nil {
		return
	}
	s.err = because(ErrLost, err)
	close(s.lost)
}

func (s *stanSession) Lost() <-chan struct{} { return s.lost }

func (s *stanSession) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *stanSession) MaxPayload() int {
	return int(s.nc.MaxPayload()) - envelope
}

func (s *stanSession) Publish(ctx context.Context, subject string, data []byte, done func(Receipt, error)) error {
	if limit := s.MaxPayload() - len(s.opts.ClientID) - len(subject); len(data) > limit {
		return because(ErrTooLarge, fmt.Errorf("%d bytes, at most %d are possible", len(data), limit))
	}
	answered := func(id string, err error) { done(Receipt{ID: id}, explainAck(err)) }
	for {
		_, err := s.sc.PublishAsync(subject, data, answered)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, nats.ErrReconnectBufExceeded):
			if err := s.connected(ctx); err != nil {
				return err
			}
		default:
			return because(ErrLost, err)
		}
	}
}

func explainAck(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stan.ErrTimeout), errors.Is(err, stan.ErrConnectionClosed):
		return because(ErrNotAcked, err)
	case strings.Contains(err.Error(), "invalid publish request"):
		// The answer to a client that the server does not know: it came
		// back without its store (names are checked before).
		return because(ErrLost, fmt.Errorf("%w (the broker no longer knows this session)", err))
	}
	return because(ErrRefused, err)
}

// connected waits until nats.go has the connection back.
func (s *stanSession) connected(ctx context.Context) error {
	status := s.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer s.nc.RemoveStatusListener(status)
	if s.nc.IsConnected() {
		return nil
	}
	timeout := time.NewTimer(s.opts.Timeout)
	defer timeout.Stop()
	select {
	case <-status:
		return nil // if closed, the next call says so
	case <-s.lost:
		return s.Err()
	case <-timeout.C:
		return because(ErrLost, fmt.Errorf("not connected again within %v", s.opts.Timeout))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *stanSession) Subscribe(ctx context.Context, sub Subscription, deliver func(m *Message, more bool)) error {
	start, err := s.start(ctx, sub)
	if err != nil {
		return err
	}
	opts := []stan.SubscriptionOption{
		stan.SetManualAckMode(),
		stan.AckWait(sub.AckWait),
		stan.MaxInflight(sub.MaxInFlight),
		start,
	}
	if sub.Durable != "" {
		opts = append(opts, stan.DurableName(sub.Durable))
	}
	var message Message // one for all: stan.go calls back one at a time
	behind := 0         // events in the queue behind this one, at least
	subscription, err := s.sc.QueueSubscribe(sub.Subject, sub.Group, func(m *stan.Msg) {
		message = Message{
			Subject: m.Subject, Sequence: m.Sequence, Time: time.Unix(0, m.Timestamp), Data: m.Data,
			Deliveries: 1 + int(m.RedeliveryCount), acker: m,
		}
		if m.Redelivered { // the count starts over when the server does
			message.Deliveries = max(2, message.Deliveries)
		}
		if behind--; behind <= 0 { // asking costs a lock that the reading side wants, too
			queued, _, _ := m.Sub.Pending() // counts the one being delivered
			behind = queued - 1
		}
		deliver(&message, behind > 0)
	}, opts...)
	if err != nil {
		return fmt.Errorf("subscribing to %q: %w", sub.Subject, explainSubscribe(err))
	}
	s.mu.Lock()
	s.subs = append(s.subs, subscription)
	s.mu.Unlock()
	return nil
}

func explainSubscribe(err error) error {
	switch {
	case errors.Is(err, stan.ErrSubReqTimeout):
		return because(ErrHung, err)
	case errors.Is(err, stan.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrReconnectBufExceeded), strings.Contains(err.Error(), "unknown clientID"):
		return because(ErrLost, err)
	}
	return because(ErrRefused, err)
}

// start translates a start position. The protocol's own start at a time counts
// back from the server's clock when the request arrives, and so misses what
// was stored at the very time: the event is looked for instead.
func (s *stanSession) start(ctx context.Context, sub Subscription) (stan.SubscriptionOption, error) {
	switch sub.Start.Kind {
	case StartNew:
		return stan.StartAt(pb.StartPosition_NewOnly), nil
	case StartLast:
		return stan.StartWithLastReceived(), nil
	case StartSequence:
		return stan.StartAtSequence(sub.Start.Sequence), nil
	case StartTime:
		const clocksApart = 5 * time.Second // the client's and the server's, at most
		last, at, err := s.Last(ctx, sub.Subject)
		if err != nil {
			return nil, err
		}
		if last == 0 || at.Before(sub.Start.Time) {
			return stan.StartAtSequence(last + 1), nil // none yet; the server takes it for "new"
		}
		first, err := s.find(ctx, sub.Subject, stan.StartAtTime(sub.Start.Time.Add(-clocksApart)),
			func(m *stan.Msg) bool { return m.Timestamp >= sub.Start.Time.UnixNano() })
		if err != nil || first == nil {
			return stan.StartAtSequence(last + 1), err
		}
		return stan.StartAtSequence(first.Sequence), nil
	}
	return stan.DeliverAllAvailable(), nil
}

// Last subscribes for a moment to the channel's newest event: the protocol has
// no question for it.
func (s *stanSession) Last(ctx context.Context, subject string) (uint64, time.Time, error) {
	m, err := s.find(ctx, subject, stan.StartWithLastReceived(), func(*stan.Msg) bool { return true })
	if err != nil || m == nil {
		return 0, time.Time{}, err
	}
	return m.Sequence, time.Unix(0, m.Timestamp), nil
}

// find returns the first event from start on that matches, or nil: that there
// is none is known by silence.
func (s *stanSession) find(ctx context.Context, subject string, start stan.SubscriptionOption, match func(*stan.Msg) bool) (*stan.Msg, error) {
	const silence = 250 * time.Millisecond
	came := make(chan struct{}, 1)
	found := make(chan *stan.Msg, 1)
	sub, err := s.sc.Subscribe(subject, func(m *stan.Msg) {
		if match(m) {
			select {
			case found <- m:
			default:
			}
		}
		select {
		case came <- struct{}{}:
		default:
		}
	}, start)
	if err != nil {
		return nil, fmt.Errorf("looking for events of %q: %w", subject, explainSubscribe(err))
	}
	defer func() { _ = sub.Unsubscribe() }() // it is not durable: there is no position to keep
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for asked := false; ; {
		select {
		case m := <-found:
			return m, nil
		case <-came:
			asked = false
			timer.Reset(silence)
		case <-timer.C:
			if asked {
				return nil, nil
			}
			// A broker that hangs is silent, too.
			if err := s.Alive(ctx); err != nil {
				return nil, err
			}
			asked = true
			timer.Reset(silence)
		case <-s.lost:
			return nil, s.Err()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *stanSession) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	if _, err := s.nc.RequestWithContext(ctx, discovery(s.opts.Cluster), ping(s.opts.ClientID)); err != nil {
		return because(ErrHung, err)
	}
	return nil
}

func (s *stanSession) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	lost := s.err != nil
	s.closed = true
	subs := s.subs
	s.mu.Unlock()
	defer s.abandon()
	if lost {
		return nil // there is nobody to say goodbye to
	}
	// All at once, so that a broker that hangs costs one time-out.
	answers := make(chan error, len(subs))
	for _, sub := range subs {
		go func() { answers <- sub.Close() }()
	}
	var err error
	for range subs {
		err = errors.Join(err, <-answers)
	}
	if err == nil {
		err = s.sc.Close()
	}
	if err != nil {
		return fmt.Errorf("closing the session %q: %w", s.opts.ClientID, because(ErrLost, err))
	}
	return nil
}

// abandon cuts the connection without a word to the broker.
func (s *stanSession) abandon() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.nc != nil {
		s.nc.Close()
	}
	s.end()
}
