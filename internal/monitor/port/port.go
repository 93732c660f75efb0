// Package port reads the monitoring port of a NATS server.
//
// The package's rule: whatever answers may be anything, so that every read is
// bounded in bytes, objects and time, and no error shows the port's password.
package port

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// timeout is for a request where little is asked for.
const timeout = 500 * time.Millisecond

// MaxBytes is the most of an answer where little is asked for.
const MaxBytes = 8 << 20

// answerBytes is the most of one answer: it is held in memory as it came.
const answerBytes = 64 << 20

// MostObjects is the most JSON objects decoded from all answers of a look. Each takes
// up to some 200 bytes of memory.
const MostObjects = 500_000

// A List is a JSON array of objects. (Each null of another would take as much
// memory as an object.)
type List[T any] []T

// UnmarshalJSON refuses a list with null in place of an object.
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

// ErrAbsent: the server answers that it does not have it (404).
var ErrAbsent = errors.New("not found")

// A Port is a monitoring port, and how much is taken from it.
type Port struct {
	Base    string        // URL, such as "http://127.0.0.1:8222"
	Timeout time.Duration // of one request
	Left    int64         // bytes that may still be read
	Objects int           // JSON objects that may still be read: one takes more memory than bytes
}

// Get reads the JSON at path of the port at base into a value. It waits for half a
// second, and reads no more than [MaxBytes]. Its errors are those of [Port.Get].
func Get(ctx context.Context, base, path string, into any) error {
	return (&Port{base, timeout, MaxBytes, MostObjects}).Get(ctx, path, into)
}

// Get reads the JSON at path into a value. The error wraps [ErrAbsent] if the
// server answers that it has not got it.
func (p *Port) Get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if !IsURL(p.Base) {
		return errors.New("asking the monitoring port: its URL is none") // it is not shown: it may hold a password
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSpace(p.Base), nil)
	if err != nil {
		return errors.New("asking the monitoring port: its URL is none")
	}
	path, query, _ := strings.Cut(path, "?")
	request.URL.Path = strings.TrimSuffix(request.URL.Path, "/") + path
	request.URL.RawPath = "" // the same is made of Path
	request.URL.RawQuery = strings.Trim(request.URL.RawQuery+"&"+query, "&")
	secure, err := tlsOf(ctx, request.URL)
	if err != nil {
		return fmt.Errorf("asking the monitoring port: %w", err)
	}
	client := http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: secure},
		// What is asked for is the server's own word, not that of another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok { // user, path and query may be secrets
		failed.URL = request.URL.Scheme + "://" + request.URL.Host
	}
	if err != nil {
		return fmt.Errorf("asking the monitoring port: %w", err)
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
		return fmt.Errorf("reading the monitoring port's answer for %s: it is longer than what is read here", path)
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	syntax, wrong := errors.AsType[*json.SyntaxError](err)
	switch {
	case wrong && syntax.Offset >= int64(len(text)):
		return fmt.Errorf("reading the monitoring port's answer for %s: it is cut off", path)
	case wrong:
		return fmt.Errorf("reading the monitoring port's answer for %s: it is no JSON: is this a NATS server's monitoring port?", path)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("reading the monitoring port's answer for %s: it is cut off", path)
	case err != nil:
		return fmt.Errorf("reading the monitoring port's answer for %s: %w", path, err)
	}
	return nil
}
