package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"
	"github.com/nats-io/stan.go/pb"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// stanSession is a session with NATS Streaming.
type stanSession struct {
	*link
	sc     stan.Conn
	flight stanFlight

	listening sync.Mutex
	subs      []stan.Subscription
	sizes     map[string]int // of the newest event found, by subject
}

var stanTraits = broker.Traits{LoneAcks: true, DearRest: true}

// stanPresent asks for the cluster. The error wraps [broker.ErrNoCluster] if there is
// none, and [broker.ErrSilentCluster] if it is not known whether there is one.
func stanPresent(ctx context.Context, l *link) error {
	err := discover(ctx, l)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return broker.Because(broker.ErrNoCluster, err)
	case errors.Is(err, broker.ErrHung):
		return broker.Because(broker.ErrSilentCluster, err)
	}
	return err
}

// discover asks for the NATS Streaming cluster. Its error is
// nats.ErrNoResponders where there is none.
func discover(ctx context.Context, l *link) error {
	_, err := inquire(ctx, l, func(ctx context.Context) (*nats.Msg, error) {
		return l.nc.RequestWithContext(ctx, discovery(l.opts.Cluster), pingOf(l.opts.ClientID))
	})
	return err
}

// openStan opens a session over l. ctx may interrupt it, and nothing later.
func openStan(ctx context.Context, l *link, _ bool) (broker.Session, error) {
	s := &stanSession{link: l, sizes: make(map[string]int)}
	s.flight.begin(l)
	interrupted := context.AfterFunc(ctx, l.nc.Close) // ends stan.go's wait for an answer
	defer interrupted()
	var err error
	s.sc, err = stan.Connect(l.opts.Cluster, l.opts.ClientID,
		stan.NatsConn(l.nc),
		stan.ConnectWait(l.opts.Timeout),
		stan.PubAckWait(never),
		stan.MaxPubAcksInflight(l.opts.Window),
		stan.Pings(pingSeconds, l.opts.pingMaxOut()),
		stan.SetConnectionLostHandler(func(_ stan.Conn, err error) {
			defer fault.Exit()
			l.lose(err)
		}),
	)
	if err != nil {
		return nil, s.explainConnect(err)
	}
	return s, nil
}

// explainConnect finds the reason behind an error of stan.Connect, which gives
// the same one where the cluster is absent and where it does not answer.
func (s *stanSession) explainConnect(err error) error {
	if denied := s.nc.LastError(); errors.Is(denied, nats.ErrPermissionViolation) {
		return broker.Because(broker.ErrAuth, denied)
	}
	switch {
	case errors.Is(err, stan.ErrConnectReqTimeout):
		if _, e := s.nc.Request(discovery(s.opts.Cluster), pingOf(s.opts.ClientID), s.opts.Timeout); errors.Is(e, nats.ErrNoResponders) {
			return broker.Because(broker.ErrNoCluster, e) // stan.go speaks of a time-out
		}
		return broker.Because(broker.ErrHung, err)
	case strings.Contains(err.Error(), "clientID already registered"): // stan.go has no value for it
		return broker.Because(broker.ErrClientIDTaken, err)
	case strings.HasPrefix(err.Error(), "proto: "), errors.Is(err, io.ErrUnexpectedEOF): // not what a cluster answers
		return broker.Because(broker.ErrGarbled, err)
	}
	return err
}

// discovery is the subject on which the servers of a cluster answer pings
// (nats-streaming-server, initSubscriptions).
func discovery(cluster string) string { return stan.DefaultDiscoverPrefix + "." + cluster + ".pings" }

// pingOf is a question that any server of the cluster answers, if only with
// "unknown": it leaves an empty one without an answer.
func pingOf(id string) []byte {
	b, _ := (&pb.Ping{ConnID: []byte(id)}).Marshal() // bytes always marshal
	return b
}

// ping makes one round trip to the broker that stores events, not merely to the
// server that carries them.
func (s *stanSession) ping(ctx context.Context) error {
	if err := discover(ctx, s.link); err != nil {
		return broker.Because(broker.ErrHung, err)
	}
	return nil
}

// Drain does nothing: this broker pushes, and what has come stays unacked.
func (s *stanSession) Drain(time.Duration) {}

func (s *stanSession) Close() error {
	first, lost := s.close()
	if !first {
		return nil
	}
	defer s.flight.watching.Wait()
	defer s.abandon()
	if lost {
		return nil // there is nobody to say goodbye to
	}
	s.listening.Lock()
	subs := s.subs
	s.listening.Unlock()
	// All at once, so that a broker that hangs costs one time-out.
	answers := make(chan error, len(subs))
	for _, sub := range subs {
		go func() {
			defer fault.Exit()
			answers <- sub.Close()
		}()
	}
	var err error
	for range subs {
		err = errors.Join(err, <-answers)
	}
	if err == nil {
		err = s.sc.Close()
	}
	if err != nil {
		return fmt.Errorf("closing the session %q: %w", s.opts.ClientID, broker.Because(broker.ErrLost, err))
	}
	return nil
}
