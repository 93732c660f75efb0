// Package port reads the monitoring port of a NATS server.
//
// The package's rule: nothing in an answer is trusted. Every read is limited in bytes,
// objects and time, and no error shows the port's password.
package port

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// timeout is for requests with small answers.
const timeout = 500 * time.Millisecond

// MaxBytes is the maximum size of a small answer.
const MaxBytes = 8 << 20

// answerBytes is the maximum size of any answer, which is held in memory.
const answerBytes = 64 << 20

// MostObjects is the maximum number of JSON objects in all answers of a snapshot. Each takes
// up to some 200 bytes of memory.
const MostObjects = 500_000

// A List is a JSON array of objects. It refuses null, which would take as much memory as
// an object.
type List[T any] []T

// UnmarshalJSON returns an error for null in place of an object.
func (l *List[T]) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	*l = nil
	switch open, err := d.Token(); {
	case err == nil && open == nil: // null
		return nil
	case err != nil || open != json.Delim('['):
		return errors.New("a list is expected")
	}
	for d.More() {
		var element *T
		if err := d.Decode(&element); err != nil {
			return err
		}
		if element == nil {
			return errors.New("a list with an object missing")
		}
		*l = append(*l, *element)
	}
	return nil
}

// ErrAbsent: the server answered 404.
var ErrAbsent = errors.New("not found")

// A Port is a monitoring port, with limits for the answers read from it.
type Port struct {
	Base    string        // URL, such as "http://127.0.0.1:8222"
	Timeout time.Duration // for each request
	Left    int64         // number of bytes that may still be read
	Objects int           // number of JSON objects that may still be read
}

// Get decodes the JSON at path of the port at base into a value. It waits for at most half
// a second, and reads at most [MaxBytes]. Its errors are those of [Port.Get].
func Get(ctx context.Context, base, path string, into any) error {
	return (&Port{base, timeout, MaxBytes, MostObjects}).Get(ctx, path, into)
}

// Get decodes the JSON at path into a value. The error wraps [ErrAbsent] if the server
// answered 404.
func (p *Port) Get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if !IsURL(p.Base) {
		return errors.New("asking the monitoring port: its URL is invalid") // not shown, as it may hold a password
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSpace(p.Base), nil)
	if err != nil {
		return errors.New("asking the monitoring port: its URL is invalid")
	}
	path, query, _ := strings.Cut(path, "?")
	request.URL.Path = strings.TrimSuffix(request.URL.Path, "/") + path
	request.URL.RawPath = "" // derived from Path
	request.URL.RawQuery = strings.Trim(request.URL.RawQuery+"&"+query, "&")
	secure, err := tlsOf(ctx, request.URL)
	if err != nil {
		return fmt.Errorf("asking the monitoring port: %w", err)
	}
	client := http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: secure},
		// Redirects are not followed: the answer must be the server's own.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	at := request.URL.Scheme + "://" + request.URL.Host // user, path and query may hold secrets
	if failed, ok := errors.AsType[*url.Error](err); ok {
		failed.URL = at
	}
	if err != nil {
		return &failure{fmt.Sprintf("asking the monitoring port at %s: %s", at, Reason(err)), err}
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return fmt.Errorf("asking the monitoring port for %s: %w", path, ErrAbsent)
	default:
		return fmt.Errorf("asking the monitoring port for %s: it answers %d %s", path, response.StatusCode, http.StatusText(response.StatusCode))
	}
	most := min(p.Left, answerBytes)
	text, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	p.Left -= int64(len(text))
	p.Objects -= bytes.Count(text, []byte("{"))
	if int64(len(text)) > most || p.Objects < 0 {
		return fmt.Errorf("reading the monitoring port's answer for %s: it is larger than the limit", path)
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	syntax, wrong := errors.AsType[*json.SyntaxError](err)
	mistyped, other := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case wrong && syntax.Offset >= int64(len(text)):
		return fmt.Errorf("reading the monitoring port's answer for %s: it is cut off", path)
	case wrong:
		return fmt.Errorf("reading the monitoring port's answer for %s: it is no JSON: is this a NATS server's monitoring port?", path)
	case other:
		return fmt.Errorf("reading the monitoring port's answer for %s: its %s can't be a %s", path, mistyped.Field, mistyped.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("reading the monitoring port's answer for %s: it is cut off", path)
	case err != nil:
		return &failure{fmt.Sprintf("reading the monitoring port's answer for %s: %s", path, Reason(err)), err}
	}
	return nil
}

// A failure is an error of package net or net/http in other words.
type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// Reason returns the reason of a failed request, without method, URL and addresses.
func Reason(err error) string {
	if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
		return "no answer in time"
	}
	if system, ok := errors.AsType[*os.SyscallError](err); ok {
		return system.Err.Error()
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("looking up %q: %s", name.Name, name.Err)
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err.Error()
	}
	return err.Error()
}
