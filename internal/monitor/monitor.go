// Package monitor reads what a NATS server tells on its monitoring port.
//
// The package's rule: it only looks. Whatever answers there may be anything,
// so every read is bounded in bytes and time.
package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Limits of one request.
const (
	timeout  = 500 * time.Millisecond
	maxBytes = 8 << 20
)

// Clusters returns the IDs of the NATS Streaming clusters that the server
// with the monitoring port at base ("http://127.0.0.1:8222") knows of: its
// own, and those whose servers are its clients.
func Clusters(ctx context.Context, base string) ([]string, error) {
	var own struct {
		ClusterID string `json:"cluster_id"`
	}
	if err := get(ctx, base, "/streaming/serverz", &own); err == nil && own.ClusterID != "" {
		return []string{own.ClusterID}, nil
	}
	var clients struct {
		Connections []struct {
			Name string `json:"name"`
		} `json:"connections"`
	}
	if err := get(ctx, base, "/connz?limit=1024", &clients); err != nil {
		return nil, err
	}
	var ids []string
	for _, c := range clients.Connections {
		id, isServer := strings.CutPrefix(c.Name, "_NSS-")
		if id, general := strings.CutSuffix(id, "-general"); isServer && general {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// DurablePosition returns the sequence of the last event that was sent to the
// durable of a queue group, or of one client where group is "", on a NATS
// Streaming channel. found is false where there is no such durable yet.
func DurablePosition(ctx context.Context, base, channel, group, durable, client string) (lastSent uint64, found bool, err error) {
	var answer struct {
		Subscriptions []struct {
			ClientID    string `json:"client_id"`
			DurableName string `json:"durable_name"`
			QueueName   string `json:"queue_name"`
			LastSent    uint64 `json:"last_sent"`
		} `json:"subscriptions"`
	}
	err = get(ctx, base, "/streaming/channelsz?subs=1&channel="+url.QueryEscape(channel), &answer)
	if err != nil {
		return 0, false, err
	}
	for _, s := range answer.Subscriptions {
		if group != "" && s.QueueName == durable+":"+group ||
			group == "" && s.DurableName == durable && s.ClientID == client {
			lastSent, found = max(lastSent, s.LastSent), true
		}
	}
	return lastSent, found, nil
}

func get(ctx context.Context, base, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	target := strings.TrimSuffix(base, "/") + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("asking the monitoring port: %w", err)
	}
	client := http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		// What is asked for is the server's own word, not that of another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking the monitoring port: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the monitoring port for %s: it answers %s", path, response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxBytes)).Decode(into); err != nil {
		return fmt.Errorf("reading the monitoring port's answer for %s: %w", path, err)
	}
	return nil
}
