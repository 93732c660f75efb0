package monitor

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

// Limits of one request, where little is asked for.
const (
	timeout  = 500 * time.Millisecond
	maxBytes = 8 << 20
)

// answerBytes is the most of one answer: it is held in memory as it came.
const answerBytes = 64 << 20

// mostObjects bounds what is made of all answers: each takes up to some 200
// bytes of memory.
const mostObjects = 500_000

// A list is a JSON array of objects. (Each null of another would take as much
// memory as an object.)
type list[T any] []T

func (l *list[T]) UnmarshalJSON(text []byte) error {
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

// errAbsent: the server answers that it has not got what was asked for.
var errAbsent = errors.New("not found")

// A port is a monitoring port, and how much is taken from it.
type port struct {
	base    string        // URL
	timeout time.Duration // of one request
	left    int64         // bytes that may still be read
	objects int           // JSON objects that may still be read: one takes more memory than bytes
}

func get(ctx context.Context, base, path string, into any) error {
	return (&port{base, timeout, maxBytes, mostObjects}).get(ctx, path, into)
}

func (p *port) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if !IsURL(p.base) {
		return errors.New("asking the monitoring port: its URL is none") // it is not shown: it may hold a password
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSpace(p.base), nil)
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
		return fmt.Errorf("asking the monitoring port for %s: %w", path, errAbsent)
	default:
		return fmt.Errorf("asking the monitoring port for %s: it answers %d %s", path, response.StatusCode, http.StatusText(response.StatusCode))
	}
	most := min(p.left, answerBytes)
	text, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	p.left -= int64(len(text))
	p.objects -= bytes.Count(text, []byte("{"))
	if int64(len(text)) > most || p.objects < 0 {
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
