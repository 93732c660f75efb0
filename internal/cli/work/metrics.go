package work

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"nats-test/internal/cli/console"
	"nats-test/internal/fault"
	"nats-test/internal/worker"
)

// A meter is what --metrics shows of a worker, in Prometheus' text format.
type meter struct {
	set     *metrics.Set
	ended   map[string]*metrics.Counter // by outcome
	handler *metrics.PrometheusHistogram
	age     *metrics.PrometheusHistogram
}

// ages are the upper bounds of the ages of events, in seconds: up to a day.
var ages = []float64{.01, .1, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600}

func newMeter(load func() worker.Load) *meter {
	m := &meter{set: metrics.NewSet(), ended: make(map[string]*metrics.Counter)}
	for _, outcome := range []string{worker.Acked, worker.Retried, worker.Dead} {
		m.ended[outcome] = m.set.NewCounter(fmt.Sprintf("listen_events_total{outcome=%q}", outcome))
	}
	m.handler = m.set.NewPrometheusHistogram("listen_handler_seconds")
	m.age = m.set.NewPrometheusHistogramExt("listen_event_age_seconds", ages)
	m.set.NewGauge("listen_in_flight", func() float64 { return float64(load().Running) })
	m.set.NewGauge("listen_retries_waiting", func() float64 { return float64(load().Waiting) })
	return m
}

// count counts the run of an event.
func (m *meter) count(r worker.Result) {
	m.ended[r.Outcome].Inc()
	if r.Age >= 0 { // an event that breaks its contract is not run
		m.age.Update(r.Age.Seconds())
		m.handler.Update(r.Took.Seconds())
	}
}

// Serve serves the metrics of the worker, and whether it listens at /healthz, until
// stop is called. Without --metrics it does nothing.
func (r *Run) Serve(listening func() bool) (stop func(), err error) {
	if r.meter == nil {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", r.flags.metrics)
	if err != nil {
		return nil, console.Hinted(fmt.Errorf("serving metrics: %w", err), "choose a free port with --metrics HOST:PORT")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		r.meter.set.WritePrometheus(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !listening() {
			http.Error(w, "not listening", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "listening") // the client may be gone
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 14}
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer fault.Exit()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			r.tell.Warn("metrics are no longer served: %v", err)
		}
	}()
	r.tell.Say("metrics at http://%s/metrics, health at /healthz", l.Addr())
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		<-served
	}, nil
}
