package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
)

// A Server is a server's description of itself on its monitoring port. Its texts are not
// checked.
type Server struct {
	ID      string // the same as in INFO
	Name    string
	Version string
	Cluster string // NATS cluster, "" for none

	Port int  // client port; 0 if unknown
	Leaf bool // it is a leaf node

	// Streaming is the ID of the NATS Streaming cluster that this port monitors, "" for
	// none. State and Role are as its server reports them, such as CLUSTERED and
	// Follower.
	Streaming   string
	State, Role string
}

// ErrForeign: the port answers, but is not the monitoring port of a NATS server.
var ErrForeign = errors.New("no monitoring port of a NATS server")

// About returns which server the monitoring port at base ("http://127.0.0.1:8222") belongs
// to.
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
		// If no HTTP server was reached, nothing is known about the port.
		talk, failed := errors.AsType[*url.Error](err)
		network, _ := errors.AsType[*net.OpError](err)
		switch {
		case !failed:
			err = fmt.Errorf("%w: %w", ErrForeign, err)
		case !talk.Timeout() && (network == nil || network.Op != "dial"):
			// The HTTP client's error depends on timing, so it is not shown.
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
	_ = Get(ctx, base, "/streaming/serverz", &own) // may be absent
	return Server{
		ID: vars.ID, Name: vars.Name, Version: vars.Version, Cluster: vars.Cluster.Name, Port: vars.Port, Leaf: len(vars.Leaf.Remotes) > 0,
		Streaming: own.ClusterID, State: own.State, Role: own.Role,
	}, nil
}
