// Package stan implements sessions with NATS Streaming: publishing, subscribing, finding
// events, evicting clients and forgetting positions. It knows packages broker and link only.
package stan

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
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// session implements [broker.Session] for NATS Streaming.
type session struct {
	*link.Link
	sc     stan.Conn
	flight flight

	listening sync.Mutex
	subs      []stan.Subscription
	sizes     map[string]int // size of the newest event found, by subject
}

// Traits of NATS Streaming.
var Traits = broker.Traits{LoneAcks: true, DearRest: true, Clients: true}

// Present returns nil if the cluster answers. The error wraps [broker.ErrNoCluster] if
// there is none.
func Present(ctx context.Context, l *link.Link) error {
	err := Discover(ctx, l)
	if errors.Is(err, nats.ErrNoResponders) {
		return broker.Because(broker.ErrNoCluster, err)
	}
	return err
}

// Discover pings the NATS Streaming cluster. The error is nats.ErrNoResponders if there is
// none.
func Discover(ctx context.Context, l *link.Link) error {
	_, err := link.Inquire(ctx, l, func(ctx context.Context) (*nats.Msg, error) {
		return l.NC.RequestWithContext(ctx, discovery(l.Options.Cluster), pingOf(l.Options.ClientID))
	})
	return err
}

// Open opens a session over l. ctx can interrupt only the opening.
func Open(ctx context.Context, l *link.Link, _ bool) (broker.Session, error) {
	s := &session{Link: l, sizes: make(map[string]int)}
	s.flight.begin(l)
	interrupted := context.AfterFunc(ctx, l.NC.Close) // interrupts stan.go, which waits for an answer
	defer interrupted()
	var err error
	s.sc, err = stan.Connect(l.Options.Cluster, l.Options.ClientID,
		stan.NatsConn(l.NC),
		stan.ConnectWait(l.Options.Timeout),
		stan.PubAckWait(never),
		stan.MaxPubAcksInflight(l.Options.Window),
		stan.Pings(link.PingSeconds, l.Options.PingMaxOut()),
		stan.SetConnectionLostHandler(func(_ stan.Conn, err error) {
			defer fault.Exit()
			l.Lose(err)
		}),
	)
	if err != nil {
		return nil, s.explainConnect(err)
	}
	return s, nil
}

// explainConnect wraps an error of stan.Connect in its reason. stan.go returns the same
// error for an absent cluster and for one that does not answer.
func (s *session) explainConnect(err error) error {
	if denied := s.NC.LastError(); errors.Is(denied, nats.ErrPermissionViolation) {
		return broker.Because(broker.ErrAuth, denied)
	}
	switch {
	case errors.Is(err, stan.ErrConnectReqTimeout):
		if _, e := s.NC.Request(discovery(s.Options.Cluster), pingOf(s.Options.ClientID), s.Options.Timeout); errors.Is(e, nats.ErrNoResponders) {
			return broker.Because(broker.ErrNoCluster, e) // stan.go reports a time-out
		}
		return broker.Because(broker.ErrHung, err)
	case strings.Contains(err.Error(), "clientID already registered"): // stan.go has no error value for it
		return broker.Because(broker.ErrClientIDTaken, fmt.Errorf("%q (%w)", s.Options.ClientID, err))
	case strings.HasPrefix(err.Error(), "proto: "), errors.Is(err, io.ErrUnexpectedEOF): // not what a cluster answers
		return broker.Because(broker.ErrGarbled, err)
	}
	return err
}

// discovery returns the subject on which the servers of a cluster answer pings
// (nats-streaming-server, initSubscriptions).
func discovery(cluster string) string { return stan.DefaultDiscoverPrefix + "." + cluster + ".pings" }

// pingOf returns a ping that any server of the cluster answers, if only with an error:
// an empty one is not answered.
func pingOf(id string) []byte {
	b, _ := (&pb.Ping{ConnID: []byte(id)}).Marshal() // bytes always marshal
	return b
}

// ping makes a round trip to NATS Streaming itself, not only to the NATS server.
func (s *session) ping(ctx context.Context) error {
	if err := Discover(ctx, s.Link); err != nil {
		return broker.Because(broker.ErrHung, err)
	}
	return nil
}

// Drain does nothing: the broker pushes, and received events stay unacked.
func (s *session) Drain(time.Duration) {}

func (s *session) Close() error {
	first, lost := s.MarkClosed()
	if !first {
		return nil
	}
	defer s.flight.watching.Wait()
	defer s.Abandon()
	if lost {
		return nil // the broker can't be reached
	}
	s.listening.Lock()
	subs := s.subs
	s.listening.Unlock()
	// Closed concurrently, so that a broker that hangs costs one time-out.
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
		return fmt.Errorf("closing the session of client ID %q: %w", s.Options.ClientID, broker.Because(broker.ErrLost, err))
	}
	return nil
}
