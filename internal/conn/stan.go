package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

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

// stanSession is a session with NATS Streaming.
type stanSession struct {
	opts Options
	nc   *nats.Conn
	sc   stan.Conn
	end  context.CancelFunc // cuts the network, whatever is going on

	broken atomic.Bool   // the connection broke and was not mended yet
	window chan struct{} // a place for each event that is sent and not answered

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
	s := &stanSession{opts: o, end: end, lost: make(chan struct{}), window: make(chan struct{}, o.Window)}
	err := s.connect(life)
	if !interrupted() { // ctx was done
		err = context.Cause(ctx)
	}
	if err != nil {
		s.abandon()
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
	s.broken.Store(true)
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
	s.end() // first: Close would wait for a write that hangs
	if s.nc != nil {
		s.nc.Close()
	}
}
