package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/conn/link/wire"
)

// mostAddresses is the maximum number of addresses that are tried for a name.
const mostAddresses = 8

// reach goes through the steps from name to log-in at the only server of o. It returns nil
// after a fault.
func (d *diagnosing) reach(ctx context.Context, o link.Options) *link.Link {
	u, err := link.ParseServer(o.Servers)
	if err != nil { // it was checked before
		return nil
	}
	addresses := d.lookUp(ctx, o, u.Hostname())
	if len(addresses) == 0 {
		return nil
	}
	_, port, _ := net.SplitHostPort(link.HostOf(u))
	c := d.connect(ctx, o, addresses, port)
	if c == nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	h := handshake{options: o, url: u, local: local(c), known: u.Scheme != "ws" && u.Scheme != "wss" && !o.TLS.First}
	if h.known {
		h.greeting, err = wire.Greet(c, o.Timeout)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			d.noGreeting(err)
			return nil
		}
		d.greeted(h.greeting)
	}
	_ = c.Close()
	return d.logIn(ctx, h)
}

// local reports whether a connection uses the loopback interface.
func local(c net.Conn) bool {
	address, ok := c.RemoteAddr().(*net.TCPAddr)
	return ok && address.IP.IsLoopback()
}

// lookUp returns the addresses of a host, nil after a fault.
func (d *diagnosing) lookUp(ctx context.Context, o link.Options, host string) []string {
	if net.ParseIP(host) != nil {
		d.found(StepName, StateOK, "name "+host+" ok", "%s is an address", host)
		return []string{host}
	}
	asking, stop := context.WithTimeout(ctx, o.Timeout)
	defer stop()
	addresses, err := net.DefaultResolver.LookupHost(asking, host)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil && len(addresses) > 0 {
		d.found(StepName, StateOK, "name "+wire.ClipWord(host)+" ok", "%s is %s", wire.ClipWord(host), strings.Join(addresses[:min(len(addresses), mostAddresses)], ", "))
		return addresses[:min(len(addresses), mostAddresses)]
	}
	f := Finding{Step: StepName, Short: "name " + wire.ClipWord(host) + " unknown", What: broker.Clip(host) + " is no name that is known here", Err: broker.Because(broker.ErrNoServer, err)}
	if no, ok := errors.AsType[*net.DNSError](err); ok && !no.IsNotFound {
		f.What, f.Short = "looking up "+broker.Clip(host)+": "+no.Err, "name "+wire.ClipWord(host)+" not looked up"
	}
	f.Hint = "check the spelling of the server's name (--server, NATS_URL)"
	if inKubernetes(host) {
		f.Hint += "; a name of Kubernetes is known inside of its cluster alone: forward the port (make pf), " +
			"and leave --server out"
	}
	d.fault(f)
	return nil
}

// inKubernetes reports whether a name looks like that of a Kubernetes service.
func inKubernetes(host string) bool {
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".local")
}

// connect tries all addresses, and returns the first connection, or nil after a fault.
// (nats.go tries them in random order.)
func (d *diagnosing) connect(ctx context.Context, o link.Options, addresses []string, port string) net.Conn {
	var connected net.Conn
	var took string
	var refusals []string
	var refusal error
	limit := o.Timeout / time.Duration(len(addresses))
	each := &wire.Dialer{Ctx: ctx, Timeout: limit, Silence: limit, Bears: limit, Greets: true}
	for _, host := range addresses {
		begin := time.Now()
		address := net.JoinHostPort(host, port)
		c, err := each.Dial("tcp", address)
		switch {
		case ctx.Err() != nil:
			if c != nil {
				_ = c.Close()
			}
			if connected != nil {
				_ = connected.Close()
			}
			return nil
		case err != nil:
			refusal = err
			refusals = append(refusals, address+": "+whyNot(err, each.Timeout))
		case connected == nil:
			connected, took = c, wire.Since(begin)
		default:
			_ = c.Close()
		}
	}
	if connected == nil {
		f := Finding{Step: StepTCP, Short: "TCP refused", What: strings.Join(refusals, "; "), Err: wire.Explain(refusal)}
		local := !slices.ContainsFunc(addresses, func(a string) bool { return !net.ParseIP(a).IsLoopback() })
		switch {
		case errors.Is(refusal, syscall.ECONNREFUSED) && local:
			f.Hint = "start one with `make server`, or say where yours is with --server (NATS_URL); " +
				"for one in Kubernetes, forward its port first: `make pf`"
		case errors.Is(refusal, syscall.ECONNREFUSED):
			f.Hint = "nothing listens at that port there: check host and port (--server, NATS_URL), and that the server runs"
		case errors.Is(f.Err, broker.ErrHung):
			f.Short = "TCP without an answer"
			f.Hint = "a firewall may be in between, or the address is that of no machine: check --server (NATS_URL)"
		}
		d.fault(f)
		return nil
	}
	also := ""
	if len(refusals) > 0 {
		also = " (but not to " + strings.Join(refusals, "; ") + ")"
	}
	d.found(StepTCP, StateOK, "TCP ok", "connected to %s in %s%s", connected.RemoteAddr(), took, also)
	return connected
}

// whyNot returns the reason for a failed connection.
func whyNot(err error, limit time.Duration) string {
	if sys, ok := errors.AsType[*os.SyscallError](err); ok && !errors.Is(err, os.ErrDeadlineExceeded) {
		return sys.Err.Error()
	}
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
		return fmt.Sprintf("no answer in %v", limit.Round(time.Millisecond))
	}
	return words(err)
}

// greeted reports a server's greeting.
func (d *diagnosing) greeted(g wire.Greeting) {
	d.Servers = append(d.Servers, g.ServerID)
	short := "NATS ok"
	if wire.PlainWord(g.Version) {
		short = "NATS " + g.Version + " ok"
	}
	d.tell(Finding{Step: StepNATS, ID: g.ServerID, State: StateOK, Short: short, What: "answers as " + g.String()})
}

func (d *diagnosing) noGreeting(err error) {
	f := Finding{Step: StepNATS, Short: "not NATS", What: words(err), Err: err}
	switch {
	case errors.Is(err, broker.ErrHung):
		f.Short = "NATS silent"
		f.Hint = "the server may be stopped or overloaded: look at it, or wait longer with --timeout; " +
			"or it waits for a TLS handshake first (tls_first in a NATS context); or this is another program's port (--server)"
	case errors.Is(err, wire.ErrPutOff):
		f.Short = "NATS silent"
		f.Hint = "if it is a NATS server with handshake_first, set tls_first in a NATS context and name that with --context; " +
			"else this is another program's port, of https perhaps: check --server (NATS_URL)"
	case errors.Is(err, wire.ErrSpeaksTLS):
		f.Short = "TLS before NATS"
		f.Hint = "if it is a NATS server with handshake_first, set tls_first in a NATS context and name that with --context; else check --server (NATS_URL)"
	case strings.Contains(err.Error(), "without a word"):
		f.Short = "connection closed at once"
		f.Hint = "a proxy or a load balancer without a server behind it does this, or a server that is shutting down: look at what is behind " + d.server
		if u, err := link.ParseServer(d.server); err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()) {
			f.Hint = "a port-forward to what does not run does this: if it is one, look at the pod, and forward its port again (make pf)"
		}
	case errors.Is(err, broker.ErrHTTP): // the hint comes from askHTTP, which looks for a monitoring port
	default:
		f.Hint = "another program answers at this port: check --server (NATS_URL); NATS servers take clients at port 4222, as a rule"
	}
	d.fault(f)
}
