package link

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// hosts returns the set of hosts with ports in o.Servers.
func (o Options) hosts() map[string]bool {
	hosts := make(map[string]bool)
	for s := range strings.SplitSeq(o.Servers, ",") {
		if u, err := ParseServer(s); err == nil {
			hosts[HostOf(u)] = true
		}
	}
	return hosts
}

// Given returns the servers of o if there are several, else nil.
func (o Options) Given() []string {
	if servers := strings.Split(o.Servers, ","); len(servers) > 1 {
		return servers
	}
	return nil
}

// StartingAt returns o with the i-th server only; the others become Learned.
func (o Options) StartingAt(i int) Options {
	servers := o.Given()
	o.Servers = servers[i]
	o.Learned = append(slices.Delete(slices.Clone(servers), i, i+1), o.Learned...)
	return o
}

// Normal returns o with its servers as [Options.urls] returns them. It refuses illegal
// names and URLs.
func (o Options) Normal() (Options, error) {
	for _, err := range []error{broker.CheckClientID(o.ClientID), broker.CheckCluster(o.Cluster), o.checkJetStream()} {
		if err != nil {
			return o, err
		}
	}
	urls, err := o.urls()
	if err != nil {
		return o, err
	}
	var servers []string
	for _, u := range urls {
		servers = append(servers, textOf(u))
	}
	o.Servers = strings.Join(servers, ",")
	o.named = cmp.Or(o.named, o.Servers)
	return o, nil
}

// webSocket reports whether the servers of o are reached by WebSocket. Either all are, or
// none (nats.go).
func (o Options) webSocket() bool {
	first, _, _ := strings.Cut(o.Servers, ",")
	u, err := ParseServer(first)
	return err == nil && (u.Scheme == "ws" || u.Scheme == "wss")
}

// connect tries the servers that were given, then those advertised earlier, which may not
// be reachable from here. If there are several, each is tried only briefly at first, and
// with the whole time-out once all have failed.
func (l *Link) connect(opts []nats.Option) (nc *nats.Conn, err error) {
	o := l.Options
	if len(l.servers.given) > 1 || len(o.Learned) > 0 {
		l.sockets.Brief.Store(true)
		nc, err = nats.Connect(o.Servers, opts...)
		for _, i := range rand.Perm(len(o.Learned)) {
			if err == nil || !unreachable(l.sockets.Explain(err)) {
				break
			}
			nc, err = nats.Connect(o.Learned[i], append(opts, l.Trust.nameFor(o.Learned[i]))...)
		}
		if err == nil || !unreachable(l.sockets.Explain(err)) {
			return nc, err
		}
		l.sockets.Brief.Store(false)
	}
	nc, err = nats.Connect(o.Servers, opts...)
	if errors.Is(err, broker.ErrUntrusted) { // an advertised server hides why those given failed
		nc, err = nats.Connect(o.Servers, append(opts, nats.IgnoreDiscoveredServers())...)
	}
	return nc, err
}

// unreachable reports whether another server, or more time, may help.
func unreachable(err error) bool {
	if errors.Is(err, broker.ErrUntrusted) {
		return true
	}
	return errors.Is(err, broker.ErrNoServer) || errors.Is(err, broker.ErrHung) || errors.Is(err, broker.ErrCrowded) || errors.Is(err, broker.ErrHungUp)
}

// serverChoice is the state of reconnecting. All fields except given are used by nats.go's
// goroutine only.
type serverChoice struct {
	given    map[string]bool // by "host:port"
	tries    map[string]int  // since the connection was lost
	latest   string          // the server tried last
	failures int             // its failures before that attempt
}

// nextServer chooses the server to reconnect to: first those that were given, preferably
// not the one that was lost; when all of these have failed, those that were advertised
// take turns with them. If there are several, each is tried only briefly the first time.
//
// Even the first attempt is delayed, so that sending fails meanwhile and publishers notice
// that the connection broke before there is a new one.
func (l *Link) nextServer(servers []nats.Server, _ nats.ServerInfo) (*nats.Server, time.Duration) {
	defer fault.Exit()
	c := &l.servers
	i := slices.IndexFunc(servers, func(s nats.Server) bool { return s.URL.Host == c.latest })
	if i < 0 || servers[i].Reconnects <= c.failures { // it connected, which resets its count
		c.tries = make(map[string]int)
	}
	lost, _ := l.at.Load().(string)
	var given, told []nats.Server
	advertised := 0 // attempts at advertised servers
	for _, s := range servers {
		if c.given[s.URL.Host] {
			given = append(given, s)
			continue
		}
		if !l.Trust.denies(s.URL.Host) {
			told = append(told, s)
		}
		advertised += c.tries[s.URL.Host]
	}
	order := func(a, b nats.Server) int {
		tried := func(s nats.Server) int {
			if s.URL.Host == lost {
				return 2*c.tries[s.URL.Host] + 1
			}
			return 2 * c.tries[s.URL.Host]
		}
		return tried(a) - tried(b)
	}
	if len(given) == 0 && len(told) == 0 {
		given = servers
	}
	from := given
	if len(told) > 0 && (len(given) == 0 || c.tries[slices.MinFunc(given, order).URL.Host] > advertised) {
		from = told
	}
	next := slices.MinFunc(from, order)
	tries := c.tries[next.URL.Host]
	c.tries[next.URL.Host]++
	c.latest, c.failures = next.URL.Host, next.Reconnects
	l.sockets.Brief.Store(len(servers) > 1 && tries == 0 || !c.given[next.URL.Host])
	if tries == 0 {
		return &next, 50 * time.Millisecond
	}
	b := NewBackoff()
	for range min(tries, 20) - 1 {
		b.NextBackOff()
	}
	return &next, b.NextBackOff()
}

// Others returns the advertised servers of the cluster as URLs, separated by commas. They
// may contain secrets.
func (l *Link) Others() string {
	user := ""
	known := make(map[string]bool)
	for _, s := range append(strings.Split(l.Options.Servers, ","), l.Options.Learned...) {
		if u, err := ParseServer(s); err == nil {
			known[HostOf(u)] = true
			if u.User != nil && user == "" {
				user = strings.ReplaceAll(u.User.String(), ",", "%2C") + "@"
			}
		}
	}
	var others []string
	for _, s := range l.NC.DiscoveredServers() {
		if u, err := ParseServer(s); err == nil && !known[HostOf(u)] && !l.Trust.denies(u.Host) {
			others = append(others, u.Scheme+"://"+user+u.Host)
		}
	}
	return strings.Join(others, ",")
}
