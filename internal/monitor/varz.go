package monitor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// A Server is what a server tells of itself on its monitoring port. The texts
// are as long and as odd as it likes.
type Server struct {
	ID      string // as in its greeting to clients
	Name    string
	Version string
	Cluster string // that of NATS, "" for none

	// Streaming is the ID of the NATS Streaming cluster whose monitoring is
	// served at this port, "" if none is.
	Streaming string
}

// ErrForeign is wrapped by the error of a port that answers, but not as a
// server's monitoring port does.
var ErrForeign = errors.New("no monitoring port of a NATS server")

// About asks the monitoring port at base ("http://127.0.0.1:8222") which
// server it belongs to.
func About(ctx context.Context, base string) (Server, error) {
	var vars struct {
		ID      string `json:"server_id"`
		Name    string `json:"server_name"`
		Version string `json:"version"`
		Cluster struct {
			Name string `json:"name"`
		} `json:"cluster"`
	}
	if err := get(ctx, base, "/varz", &vars); err != nil {
		// Only what reached no HTTP server leaves it open what is there.
		_, unreached := errors.AsType[*url.Error](err)
		switch {
		case unreached && (strings.Contains(err.Error(), "malformed HTTP") ||
			strings.Contains(err.Error(), "readLoopPeekFail")): // it spoke before it was asked (net/http, readLoopPeekFailLocked)
			err = fmt.Errorf("%w: it speaks no HTTP", ErrForeign)
		case !unreached:
			err = fmt.Errorf("%w: %w", ErrForeign, err)
		}
		return Server{}, err
	}
	if vars.ID == "" {
		return Server{}, fmt.Errorf("%w: its /varz has no server_id", ErrForeign)
	}
	var own struct {
		ClusterID string `json:"cluster_id"`
	}
	_ = get(ctx, base, "/streaming/serverz", &own) // its absence is an answer
	return Server{ID: vars.ID, Name: vars.Name, Version: vars.Version, Cluster: vars.Cluster.Name, Streaming: own.ClusterID}, nil
}
