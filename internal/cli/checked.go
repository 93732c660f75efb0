package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"nats-test/internal/conn/broker"
	steps "nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

// A checked error comes with the findings of a diagnosis, shortened to a line.
type checked struct {
	error
	line string
}

func (c *checked) Unwrap() error { return c.error }

// A command that failed to connect is held up for at most checkAll by its
// diagnosis, and for checkStep by one step of it.
const (
	checkAll  = 2 * time.Second
	checkStep = 500 * time.Millisecond
)

// reachedNATS reports that err came from a NATS server that let the client in
// or refused its credentials.
func reachedNATS(err error) bool {
	return errors.Is(err, broker.ErrAuth) || errors.Is(err, broker.ErrNoCluster) || errors.Is(err, broker.ErrNoJetStream)
}

// check finds out where a connection fails, if that is what err is about. line
// is what it found, "" for nothing.
func (c *connection) check(ctx context.Context, err error) (found steps.Diagnosis, line string) {
	connecting := reachedNATS(err) || slices.ContainsFunc([]error{broker.ErrNoServer, broker.ErrHung, broker.ErrTLS, broker.ErrHungUp, broker.ErrPort},
		func(reason error) bool { return errors.Is(err, reason) })
	if !connecting || ctx.Err() != nil {
		return found, ""
	}
	looking, stop := context.WithTimeout(ctx, checkAll)
	defer stop()
	o := c.options
	o.Timeout = min(checkStep, firstOf(o.Timeout, link.DefaultTimeout))
	var s summary
	found = steps.Diagnose(looking, o, nil, s.add)
	if ctx.Err() != nil || len(s.servers) == 0 {
		return steps.Diagnosis{}, ""
	}
	return found, "checked: " + s.String() + " (`listen doctor` tells more)"
}

// A summary is what findings are in a line.
type summary struct {
	servers []string   // URLs
	found   [][]string // for each
}

// mostSummed bounds of how many servers a summary tells.
const mostSummed = 3

func (s *summary) add(f steps.Finding) {
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
