package conn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"
)

// discovery is where clients of the observer's cluster register.
func (o *Observer) discovery() string { return stan.DefaultDiscoverPrefix + "." + o.link.opts.Cluster }

// exchange makes a request of the protocol of NATS Streaming. read takes an
// answer, and returns the error in it. A neighbour may answer, too, and first:
// all answers that come soon are read, and a refusal counts more than a yes.
func (o *Observer) exchange(ctx context.Context, subject string, question interface{ Marshal() ([]byte, error) },
	read func(data []byte) (refusal string, err error)) error {
	if !strings.HasPrefix(subject, "_STAN.") { // it came in an answer, and could be any
		return because(ErrRefused, fmt.Errorf("%s is no subject of NATS Streaming's requests", clip(subject)))
	}
	data, err := question.Marshal()
	if err != nil {
		return err
	}
	inbox := o.link.opts.newInbox()
	answers, err := o.link.nc.SubscribeSync(inbox)
	if err != nil {
		return because(ErrLost, err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	return o.link.askOnce(ctx, func(ctx context.Context) error {
		if err := o.link.nc.PublishRequest(subject, inbox, data); err != nil {
			return because(ErrLost, err)
		}
		begin := time.Now()
		reply, err := answers.NextMsgWithContext(ctx)
		if err != nil && !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
		others, stop := context.WithTimeout(ctx, max(rollWait, 3*time.Since(begin)))
		defer stop()
		result := because(ErrNoCluster, nats.ErrNoResponders)
		for {
			if err == nil && (len(reply.Data) > 0 || reply.Header.Get("Status") != "503") {
				refusal, unread := read(reply.Data)
				switch {
				case unread != nil:
					result = because(ErrRefused, unread)
				case refusal != "":
					return explainRefusal(refusal)
				default:
					result = nil
				}
			}
			if reply, err = answers.NextMsgWithContext(others); err != nil && !errors.Is(err, nats.ErrNoResponders) {
				return cmp.Or(context.Cause(ctx), result)
			}
		}
	})
}

// explainRefusal finds the reason in the words of the server
// (nats-streaming-server, server/server.go).
func explainRefusal(words string) error {
	switch words {
	case "stan: unknown clientID":
		return because(ErrNoClient, errors.New(words))
	case "stan: clientID already registered":
		return because(ErrClientIDTaken, errors.New(words))
	}
	return because(ErrRefused, errors.New(words))
}
