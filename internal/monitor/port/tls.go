package port

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// TLS holds the files for an https monitoring port, usually the same as for the server's
// client port.
type TLS struct {
	CA        string // authority of the port's certificate; default: the system's authorities
	Cert, Key string // client certificate, if the port requires one
}

type tlsKey struct{}

// WithTLS returns a context in which https monitoring ports are read with t.
func WithTLS(ctx context.Context, t TLS) context.Context { return context.WithValue(ctx, tlsKey{}, t) }

// tlsOf returns the TLS configuration for u, nil for the default. It reads the files only
// when they are needed.
func tlsOf(ctx context.Context, u *url.URL) (*tls.Config, error) {
	t, _ := ctx.Value(tlsKey{}).(TLS)
	if u.Scheme != "https" || t == (TLS{}) {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("no certificate is in %q", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// IsURL reports whether base is a URL of a monitoring port. It refuses an unescaped / ? or #
// in the password, since the text before would be taken for the host.
func IsURL(base string) bool {
	u, err := url.Parse(strings.TrimSpace(base))
	return err == nil && u.Hostname() != "" && (u.Scheme == "http" || u.Scheme == "https") &&
		!strings.Contains(u.Path+u.RawQuery+u.Fragment, "@")
}
