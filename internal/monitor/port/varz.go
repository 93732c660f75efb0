package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
)

// A Server is what a server tells of itself on its monitoring port. The texts
// are as long and as odd as it likes.
type Server struct {
	ID      string // as in its greeting to clients
	Name    string
	Version string
	Cluster string // that of NATS, "" for none

	Port int  // for clients; 0 where it does not say
	Leaf bool // it is connected to others as a leaf node

	// Streaming is the ID of the NATS Streaming cluster whose monitoring is
	// served at this port, "" if none is. State and Role are its server's own
	// words, such as CLUSTERED and Follower.
	Streaming   string
	State, Role string
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
		Port int `json:"port"`
		Leaf struct {
			Remotes List[struct{}] `json:"remotes"`
		} `json:"leaf"`
	}
	if err := Get(ctx, base, "/varz", &vars); err != nil {
		// Only what reached no HTTP server leaves it open what is there.
		talk, failed := errors.AsType[*url.Error](err)
		network, _ := errors.AsType[*net.OpError](err)
		switch {
		case !failed:
			err = fmt.Errorf("%w: %w", ErrForeign, err)
		case !talk.Timeout() && (network == nil || network.Op != "dial"):
			// What the HTTP client says then depends on who was faster.
			err = fmt.Errorf("%w: it speaks no HTTP", ErrForeign)
		}
		return Server{}, err
	}
	if vars.ID == "" {
		return Server{}, fmt.Errorf("%w: its /varz has no server_id", ErrForeign)
	}
	var own struct {
		ClusterID string `json:"cluster_id"`
		State     string `json:"state"`
		Role      string `json:"role"`
	}
	_ = Get(ctx, base, "/streaming/serverz", &own) // its absence is an answer
	return Server{
		ID: vars.ID, Name: vars.Name, Version: vars.Version, Cluster: vars.Cluster.Name, Port: vars.Port, Leaf: len(vars.Leaf.Remotes) > 0,
		Streaming: own.ClusterID, State: own.State, Role: own.Role,
	}, nil
}
