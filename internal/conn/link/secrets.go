package link

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"nats-test/internal/conn/broker"
)

// A setting is the path of a file, and the option that sets it.
type setting struct {
	path, name string
	reason     error // for a file that can't be read
	secret     bool  // the file holds a secret
}

func (o Options) files() []setting {
	return []setting{
		{o.Auth.Creds, "the credentials file", broker.ErrCredsFile, true},
		{o.Auth.NKey, "the file with the nkey seed", broker.ErrNKeyFile, true},
		{o.TLS.Key, "the client certificate's key file", broker.ErrKeyFile, true},
		{o.TLS.Cert, "the client certificate file", broker.ErrCertFile, false},
		{o.TLS.CA, "the file with the server's authority", broker.ErrCAFile, false},
	}
}

// checkFiles returns an error that wraps [broker.ErrConfig] if a file can't be read. A
// path that looks like a secret is not shown.
func (o Options) checkFiles() error {
	for _, f := range o.files() {
		var err error
		switch {
		case f.path == "":
			continue
		case isContent(f.path):
			err = fmt.Errorf("%s must be given by its path, but the value looks like the content of such a file (it is not shown)", f.name)
		default:
			if err = readable(f.path); err != nil {
				err = fmt.Errorf("%s: %w", f.name, err)
			}
		}
		if err != nil {
			return broker.Because(f.reason, err)
		}
	}
	if (o.TLS.Cert == "") != (o.TLS.Key == "") {
		return broker.Because(broker.ErrKeyPair, errors.New("a client certificate needs its key, and a key its certificate"))
	}
	return nil
}

// isContent reports whether a path looks like a secret given in its place: PEM, also in
// base64, an nkey seed, or a JWT.
func isContent(path string) bool {
	const longestPath = 4096
	text := strings.TrimSpace(path)
	return len(path) > longestPath || strings.ContainsAny(path, "\r\n") || strings.Contains(path, "-----BEGIN") || isSeed(text) ||
		strings.HasPrefix(text, "eyJ") || strings.HasPrefix(text, "LS0tLS") || reference(text) == "data:"
}

// isSeed reports whether text looks like an nkey seed, or most of one.
func isSeed(text string) bool {
	return len(text) > 30 && text[0] == 'S' && strings.IndexByte("UAOCNX", text[1]) >= 0 &&
		strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func readable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return &fs.PathError{Op: "read", Path: file, Err: errors.New("it is a folder")}
	}
	return nil
}

// claims are the fields of a user JWT that matter here.
type claims struct {
	Expires int64 `json:"exp"` // seconds since 1970, 0 for never
	NATS    struct {
		Bearer bool `json:"bearer_token"` // the JWT alone is enough to log in, without a signature
	} `json:"nats"`
}

// claimsOf decodes a JWT without checking its signature, which the server does. ok is
// false if it is not a JWT.
func claimsOf(jwt string) (c claims, ok bool) {
	parts := strings.Split(strings.TrimSpace(jwt), ".")
	if len(parts) != 3 {
		return c, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	return c, err == nil && json.Unmarshal(text, &c) == nil
}

// userClaims returns the claims of the user JWT in o, if there is one. The error wraps
// [broker.ErrConfig], for instance for a credentials file without a JWT: nats.go would
// send its content to the server.
func (o Options) userClaims() (claims, error) {
	switch o.Auth.Kind() {
	case "jwt":
		c, ok := claimsOf(o.Auth.UserJWT)
		if !ok {
			return c, broker.Because(broker.ErrContext, errors.New("the context's user_jwt is no user JWT"))
		}
		return c, nil
	case "creds":
		info, err := os.Stat(o.Auth.Creds)
		if err != nil || !info.Mode().IsRegular() { // a pipe can be read only once
			return claims{}, nil
		}
		text, err := os.ReadFile(o.Auth.Creds)
		if err != nil {
			return claims{}, broker.Because(broker.ErrCredsFile, err)
		}
		jwt, err := nkeys.ParseDecoratedJWT(text)
		c, ok := claimsOf(jwt)
		if err != nil || !ok {
			return c, broker.Because(broker.ErrCredsFile, fmt.Errorf("the credentials file %q has no user JWT", o.Auth.Creds))
		}
		if _, err := nkeys.ParseDecoratedNKey(text); err != nil {
			return c, broker.Because(broker.ErrCredsFile, fmt.Errorf("the credentials file %q has no nkey seed", o.Auth.Creds))
		}
		return c, nil
	}
	return claims{}, nil
}

// expired adds to the error of a log-in that the user JWT has expired, by this machine's
// clock.
func (o Options) expired(err error) error {
	c, failed := o.userClaims()
	end := time.Unix(c.Expires, 0)
	if !errors.Is(err, broker.ErrAuth) || failed != nil || c.Expires == 0 || time.Now().Before(end) {
		return err
	}
	which := "the context's user JWT"
	if o.Auth.Kind() == "creds" {
		which = fmt.Sprintf("the user JWT in %q", o.Auth.Creds)
	}
	return broker.Because(broker.ErrAuth, fmt.Errorf("%s expired on %s (%w)", which, end.UTC().Format("2006-01-02 15:04 MST"), lastCause(err)))
}

// PasswordAlone describes credentials that most servers refuse.
const PasswordAlone = "a password without a user"

// withoutUser adds to the error of a log-in that a password without a user was sent,
// which most servers refuse.
func (o Options) withoutUser(err error) error {
	if !errors.Is(err, broker.ErrAuth) || o.Auth.User != "" || o.Auth.Password == "" || strings.Contains(o.Servers, "@") {
		return err
	}
	return broker.Because(broker.ErrAuth, fmt.Errorf("%w (%s was sent)", lastCause(err), PasswordAlone))
}

// lastCause returns the cause of an error, without its reason.
func lastCause(err error) error {
	if f, ok := errors.AsType[*broker.Failure](err); ok {
		return f.Cause
	}
	return err
}

// Reveals reports whether a log-in shows the server a secret that can be used again. The
// signature of an nkey can't.
func (o Options) Reveals() bool {
	c, _ := o.userClaims()
	if o.Auth.Kind() == "user" || o.Auth.Token != "" {
		return true
	}
	return c.NATS.Bearer || strings.Contains(o.Servers, "@") || strings.Contains(strings.Join(o.Learned, ","), "@")
}

// QuotedPath quotes a path for a shell.
func QuotedPath(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%,", r) && (r > 'z' || r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a')
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// OpenFiles returns the files with secrets that other users of this machine can read.
func (o Options) OpenFiles() []string {
	files := o.files()
	if o.SecretFile != "" {
		files = append(files, setting{path: o.SecretFile, secret: true})
	}
	var open []string
	for _, f := range files {
		if !f.secret || f.path == "" || runtime.GOOS == "windows" { // file modes mean nothing there
			continue
		}
		const others = 0o044
		if info, err := os.Stat(f.path); err == nil && info.Mode().IsRegular() && info.Mode()&others != 0 {
			open = append(open, f.path)
		}
	}
	return open
}
