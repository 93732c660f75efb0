package link

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"nats-test/internal/conn/broker"
)

// Where returns the servers of o without their secrets, for display.
func (o Options) Where() string {
	urls, err := o.Or(Defaults).urls()
	if err != nil {
		return "(no URL)" // a malformed URL may show its password
	}
	var servers []string
	for _, u := range urls {
		servers = append(servers, shown(u))
	}
	return strings.Join(servers, ",")
}

// Hosts returns the host name of each server of o.
func (o Options) Hosts() []string {
	urls, _ := o.Or(Defaults).urls()
	var hosts []string
	for _, u := range urls {
		hosts = append(hosts, u.Hostname())
	}
	return hosts
}

// ShownURL returns the part of a URL that is safe to show: user, path and query may hold
// secrets.
func ShownURL(text string) string {
	u, err := ParseServer(text)
	if err != nil || userBehindHost(text) {
		return "(no URL)"
	}
	return shown(u)
}

func shown(u *url.URL) string { return u.Scheme + "://" + u.Host }

// ParseServer parses the URL of a server. The scheme is optional.
func ParseServer(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	return url.Parse(s)
}

// HostOf returns "host:port" of a server's URL, with nats.go's default port.
func HostOf(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	switch u.Scheme {
	case "ws":
		return net.JoinHostPort(u.Hostname(), "80")
	case "wss":
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "4222")
}

// textOf returns a URL for a comma-separated list: a password may contain a comma.
func textOf(u *url.URL) string { return strings.ReplaceAll(u.String(), ",", "%2C") }

// urls returns the URLs of o's servers with a scheme and the credentials that are used for
// each. If one of them has TLS, all get it, as in nats.go, which can't do so where one is
// used alone. The error wraps [broker.ErrConfig] and shows no part of a URL, since a
// malformed one may show its password.
func (o Options) urls() ([]*url.URL, error) {
	var urls []*url.URL
	texts := strings.Split(o.Servers, ",")
	for i, s := range texts {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		u, problem := serverURL(s)
		if i+1 < len(texts) && isRest(texts[i+1]) && !isWhole(s) || i > 0 && isRest(s) && !isWhole(texts[i-1]) {
			problem = encoded
		}
		if problem != "" {
			reason := broker.ErrURL
			if problem == encoded {
				reason = broker.ErrURLSecret
			}
			return nil, fmt.Errorf("URL %d of the servers: %w", i+1, broker.Because(reason, errors.New(problem)))
		}
		o.Auth.complete(u)
		urls = append(urls, u)
	}
	if len(urls) == 0 {
		return nil, broker.Because(broker.ErrURL, errors.New("no URL of a server is given: write it as nats://HOST:PORT"))
	}
	secure := slices.ContainsFunc(urls, func(u *url.URL) bool { return u.Scheme == "tls" || u.Scheme == "wss" })
	for _, u := range urls {
		if webSocket(u) != webSocket(urls[0]) {
			return nil, broker.Because(broker.ErrURL, errors.New("nats:// and tls:// can't be mixed with ws:// and wss:// in one list of servers"))
		}
		switch {
		case secure && webSocket(u):
			u.Scheme = "wss"
		case secure:
			u.Scheme = "tls"
		}
	}
	return urls, nil
}

func webSocket(u *url.URL) bool { return u.Scheme == "ws" || u.Scheme == "wss" }

// Errors for a URL. They show no part of it.
const (
	noForm  = "it is not a URL: write it as nats://HOST:PORT"
	encoded = "it is not a URL: in a user, password or token, characters such as / ? # @ % and the comma are %-encoded there (%2F for /)"
)

// isRest reports whether text after a comma may be the rest of a password. Then the text
// before it is not a host, and must not be looked up.
func isRest(s string) bool { return !strings.Contains(s, "://") && strings.Contains(s, "@") }

// isWhole reports whether text before a comma has a user, a host and a port. Then a user
// after the comma belongs to the next server.
func isWhole(s string) bool {
	u, err := ParseServer(s)
	return err == nil && u.User != nil && u.Port() != ""
}

// serverURL parses the URL of one server, and returns the problem if it is invalid.
func serverURL(s string) (u *url.URL, problem string) {
	bare := !strings.Contains(s, "://")
	u, err := ParseServer(s)
	switch {
	case strings.ContainsAny(s[:1], `'"`):
		return nil, "it is in quotes: leave them out"
	case strings.Count(s, "://") > 1:
		return nil, "it contains several URLs: separate them with commas"
	case userBehindHost(s):
		return nil, encoded
	case isIPv6(s):
		return nil, "an IPv6 address needs brackets, as in nats://[::1]:4222"
	case err != nil && strings.Contains(s, "@"):
		return nil, encoded
	case err != nil && strings.ContainsAny(s, " \t;"):
		return nil, "it is not a URL: separate several with commas"
	case err != nil, strings.Count(u.Host, ":") > 1 && u.Host[0] != '[', bare && strings.Trim(u.Path+u.RawQuery+u.Fragment, "/") != "":
		return nil, noForm
	case u.Hostname() == "":
		return nil, "it has no host: write it as nats://HOST:PORT"
	case u.Scheme == "http", u.Scheme == "tcp": // which clients in other languages accept
		u.Scheme = "nats"
	case u.Scheme == "https":
		return nil, "https:// leads to no NATS server: TLS is tls://, or wss:// for a WebSocket"
	case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
		return nil, "the scheme must be nats or tls (http and tcp are taken for nats), or ws or wss"
	}
	if port, err := strconv.ParseUint(cmp.Or(u.Port(), "4222"), 10, 16); err != nil || port == 0 {
		return nil, "the port must be from 1 to 65535"
	}
	u.Host = strings.ToLower(strings.TrimSuffix(u.Host, ":"))
	u.Fragment, u.RawFragment = "", ""
	if !webSocket(u) { // a WebSocket handshake uses path and query
		u.Path, u.RawPath, u.RawQuery, u.ForceQuery = "", "", "", false
	}
	return u, ""
}

// userBehindHost reports whether a password or token contains an unescaped / ? or #, so
// that the text before that would be taken for the host.
func userBehindHost(s string) bool {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	i := strings.IndexAny(s, "/?#")
	return i >= 0 && strings.Contains(s[i:], "@")
}

// isIPv6 reports whether the host of a URL is an IPv6 address without brackets.
func isIPv6(s string) bool {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	host := strings.TrimRight(s[strings.LastIndex(s, "@")+1:], "/")
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Is6()
}

// complete sets the credentials of u: those of a, and from u itself what a lacks.
func (a Auth) complete(u *url.URL) {
	switch kind := a.Kind(); {
	case u.User == nil, kind == "":
	case kind != "user":
		u.User = nil
	default:
		inside, _ := u.User.Password()
		if name, password := cmp.Or(a.User, u.User.Username()), cmp.Or(a.Password, inside); password != "" {
			u.User = url.UserPassword(name, password)
		} else {
			u.User = url.User(name)
		}
	}
}
