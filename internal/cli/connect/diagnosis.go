package connect

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

// Time limits of the diagnosis after a failed connection: in all, and for one step.
const (
	checkAll  = 2 * time.Second
	checkStep = 500 * time.Millisecond
)

// reachedNATS reports whether err came from a NATS server that let the client in
// or refused its credentials.
func reachedNATS(err error) bool {
	return errors.Is(err, broker.ErrAuth) || errors.Is(err, broker.ErrNoCluster) || errors.Is(err, broker.ErrNoJetStream)
}

// diagnose finds out where a connection fails, if err is about a connection. line
// sums up the findings; it is "" if there are none.
func (b *Broker) diagnose(ctx context.Context, err error) (found doctor.Diagnosis, line string) {
	connecting := reachedNATS(err) || slices.ContainsFunc([]error{broker.ErrNoServer, broker.ErrHung, broker.ErrTLS, broker.ErrHungUp, broker.ErrPort},
		func(reason error) bool { return errors.Is(err, reason) })
	if !connecting || ctx.Err() != nil {
		return found, ""
	}
	looking, stop := context.WithTimeout(ctx, checkAll)
	defer stop()
	o := b.Options
	o.Timeout = min(checkStep, cmp.Or(o.Timeout, link.DefaultTimeout))
	var s summary
	found = doctor.Diagnose(looking, o, nil, s.add)
	if ctx.Err() != nil || len(s.servers) == 0 {
		return doctor.Diagnosis{}, ""
	}
	return found, "checked: " + s.String() + " (`listen doctor` shows more)"
}

// A summary collects findings for one line.
type summary struct {
	servers []string   // URLs
	found   [][]string // for each server
}

// mostSummed is the number of servers that a summary names.
const mostSummed = 3

func (s *summary) add(f doctor.Finding) {
	if f.Short == "" {
		return
	}
	i := slices.Index(s.servers, f.Server)
	if i < 0 {
		i = len(s.servers)
		s.servers, s.found = append(s.servers, f.Server), append(s.found, nil)
	}
	s.found[i] = append(s.found[i], f.Short)
}

func (s *summary) String() string {
	var parts []string
	for i, server := range s.servers {
		text := strings.Join(s.found[i], ", ")
		if len(s.servers) > 1 {
			text = server + ": " + text
		}
		parts = append(parts, text)
	}
	if len(parts) > mostSummed {
		parts = append(parts[:mostSummed], "…")
	}
	return strings.Join(parts, "; ")
}
