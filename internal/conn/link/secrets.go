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

// A setting is the path of a file, and what sets it.
type setting struct {
	path, name string
	secret     bool // what the file holds
}

func (o Options) files() []setting {
	return []setting{
		{o.Auth.Creds, "--creds (NATS_CREDS)", true},
		{o.Auth.NKey, "--nkey (NATS_NKEY)", true},
		{o.TLS.Key, "--tlskey (NATS_KEY)", true},
		{o.TLS.Cert, "--tlscert (NATS_CERT)", false},
		{o.TLS.CA, "--tlsca (NATS_CA)", false},
	}
}

// checkFiles returns an error that wraps [broker.ErrConfig] for a file that can't be
// read. What may be a secret in the place of a path is not shown.
func (o Options) checkFiles() error {
	for _, f := range o.files() {
		var err error
		switch {
		case f.path == "":
			continue
		case isContent(f.path):
			err = fmt.Errorf("%s must be the path of a file, and what is given looks like the content of one (it is not shown)", f.name)
		default:
			if err = readable(f.path); err != nil {
				err = fmt.Errorf("%s: %w", f.name, err)
			}
		}
		if err != nil {
			return broker.Because(broker.ErrFile, err)
		}
	}
	if (o.TLS.Cert == "") != (o.TLS.Key == "") {
		return broker.Because(broker.ErrConfig, errors.New("a client certificate needs its key, and a key its certificate (--tlscert, --tlskey)"))
	}
	return nil
}

// isContent reports whether what should be a path looks like a secret: PEM, also
// in base64, the seed of a nkey, or a JWT. Nobody calls a file like that.
func isContent(path string) bool {
	const longestPath = 4096
	text := strings.TrimSpace(path)
	return len(path) > longestPath || strings.ContainsAny(path, "\r\n") || strings.Contains(path, "-----BEGIN") || isSeed(text) ||
		strings.HasPrefix(text, "eyJ") || strings.HasPrefix(text, "LS0tLS") || reference(text) == "data:"
}

// isSeed reports whether text is the seed of a nkey, or most of one.
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

// claims are what a user JWT says of itself.
type claims struct {
	Expires int64 `json:"exp"` // seconds since 1970, 0 for never
	NATS    struct {
		Bearer bool `json:"bearer_token"` // it suffices for the log-in, without a signature
	} `json:"nats"`
}

// claimsOf reads a JWT, whose signature is for the server to check. ok is false
// if it is none.
func claimsOf(jwt string) (c claims, ok bool) {
	parts := strings.Split(strings.TrimSpace(jwt), ".")
	if len(parts) != 3 {
		return c, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	return c, err == nil && json.Unmarshal(text, &c) == nil
}

// userClaims are those of the user JWT that o logs in with, if it has one. The
// error, which wraps [broker.ErrConfig], is of a credentials file that holds none:
// nats.go would send anything that stands there to the server.
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
		if err != nil || !info.Mode().IsRegular() { // a pipe can be read once only
			return claims{}, nil
		}
		text, err := os.ReadFile(o.Auth.Creds)
		if err != nil {
			return claims{}, broker.Because(broker.ErrFile, err)
		}
		jwt, err := nkeys.ParseDecoratedJWT(text)
		c, ok := claimsOf(jwt)
		if err != nil || !ok {
			return c, broker.Because(broker.ErrFile, fmt.Errorf("no user JWT is in the credentials file %q", o.Auth.Creds))
		}
		if _, err := nkeys.ParseDecoratedNKey(text); err != nil {
			return c, broker.Because(broker.ErrFile, fmt.Errorf("no seed of a nkey is in the credentials file %q", o.Auth.Creds))
		}
		return c, nil
	}
	return claims{}, nil
}

// expired adds to the error of a log-in that the user JWT's time is over, as far
// as this machine's clock is right.
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
	return broker.Because(broker.ErrAuth, fmt.Errorf("%s ended on %s (%w)", which, end.UTC().Format("2006-01-02 15:04 MST"), lastCause(err)))
}

// PasswordAlone names credentials that are half of what servers ask for, as a rule.
const PasswordAlone = "a password without a user"

// withoutUser adds to the error of a log-in that a password without a user was
// sent, which hardly any server takes.
func (o Options) withoutUser(err error) error {
	if !errors.Is(err, broker.ErrAuth) || o.Auth.User != "" || o.Auth.Password == "" || strings.Contains(o.Servers, "@") {
		return err
	}
	return broker.Because(broker.ErrAuth, fmt.Errorf("%w, to %s", lastCause(err), PasswordAlone))
}

// lastCause is an error without the reason that stands before it.
func lastCause(err error) error {
	if f, ok := errors.AsType[*broker.Failure](err); ok {
		return f.Cause
	}
	return err
}

// Reveals reports whether a log-in hands the server what suffices for another:
// not so the signature of a nkey.
func (o Options) Reveals() bool {
	c, _ := o.userClaims()
	if o.Auth.Kind() == "user" || o.Auth.Token != "" {
		return true
	}
	return c.NATS.Bearer || strings.Contains(o.Servers, "@") || strings.Contains(strings.Join(o.Learned, ","), "@")
}

// QuotedPath is a path as it can stand in a command for a shell.
func QuotedPath(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%,", r) && (r > 'z' || r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a')
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// OpenFiles are the files with secrets that other users of this machine can read.
func (o Options) OpenFiles() []string {
	files := o.files()
	if o.SecretFile != "" {
		files = append(files, setting{o.SecretFile, "", true})
	}
	var open []string
	for _, f := range files {
		if !f.secret || f.path == "" || runtime.GOOS == "windows" { // its modes tell nothing
			continue
		}
		const others = 0o044
		if info, err := os.Stat(f.path); err == nil && info.Mode().IsRegular() && info.Mode()&others != 0 {
			open = append(open, f.path)
		}
	}
	return open
}
