package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// streams returns the info of all streams; of a stream without a leader, only its name.
func (r *Reader) streams(ctx context.Context) (found []*jetstream.StreamInfo, err error) {
	var names []string
	err = r.Ask(ctx, func(ctx context.Context) error {
		names = nil
		return pages[string](r.JS, "STREAM.NAMES").all(ctx, func(name string) error {
			names = append(names, name)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	err = r.Ask(ctx, func(ctx context.Context) error {
		found = nil
		return pages[jetstream.StreamInfo](r.JS, "STREAM.LIST").all(ctx, func(info jetstream.StreamInfo) error {
			found = append(found, &info)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	listed := make(map[string]bool, len(found))
	for _, info := range found {
		listed[info.Config.Name] = true
	}
	for _, name := range names {
		if listed[name] {
			continue
		}
		info, err := r.leftOut(ctx, name)
		if err != nil {
			return nil, err
		}
		if info != nil {
			found = append(found, info)
		}
	}
	return found, nil
}

// leftOut returns the info of a stream that is missing in the list, nil if it is gone.
func (r *Reader) leftOut(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	info := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: name, Replicas: 2}, Cluster: &jetstream.ClusterInfo{}}
	err := r.Ask(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		handle, err := r.JS.Stream(ctx, name)
		if err == nil {
			info = handle.CachedInfo()
		}
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil: // it has no leader
		return info, nil
	}
	return info, err
}

// stored returns those of subjects that a stream stores. A mirror, or a stream with
// sources, may have no subjects of its own.
func (r *Reader) stored(ctx context.Context, info *jetstream.StreamInfo, subjects []string) (stored []string, err error) {
	gathers := info.Config.Mirror != nil || len(info.Config.Sources) > 0
	for _, subject := range subjects {
		is := slices.ContainsFunc(info.Config.Subjects, func(f string) bool { return overlaps([]string{subject}, f) })
		if !is && gathers {
			is = strings.Contains(subject, "*")
			if !is {
				n, err := r.count(ctx, info.Config.Name, subject)
				if err != nil {
					return nil, err
				}
				is = n > 0
			}
		}
		if is {
			stored = append(stored, subject)
		}
	}
	return stored, nil
}

// count returns how many events of subject a stream holds.
func (r *Reader) count(ctx context.Context, stream, subject string) (n uint64, err error) {
	err = r.Ask(ctx, func(ctx context.Context) error {
		handle, err := r.JS.Stream(ctx, stream)
		if err != nil {
			return err
		}
		info, err := handle.Info(ctx, jetstream.WithSubjectFilter(subject))
		if err == nil {
			n = info.State.Subjects[subject]
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("counting the events of %q: %w", subject, err)
	}
	return n, nil
}
