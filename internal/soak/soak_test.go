//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
)

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	code := m.Run()
	brokertest.RemovePrograms()
	os.Exit(code)
}

func runSoak(t *testing.T, ctx context.Context, args ...string) (code int, out, errors string) {
	t.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-bin", bin}, args...)
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr bytes.Buffer
	code = soak(ctx, args, &stdout, &stderr)
	t.Log(stdout.String(), stderr.String())
	return code, stdout.String(), stderr.String()
}

// A round of publish, on both brokers, and the table.
func TestCampaign(t *testing.T) {
	code, out, _ := runSoak(t, t.Context(), "-duration", "1ns", "-rounds", "1", "-seed", "7", "-only", "cut-publish")
	if code != allTrue {
		t.Errorf("exit code %d", code)
	}
	for _, broker := range []string{streaming, jetStream} {
		row := regexp.MustCompile(`(?m)^cut-publish +` + broker + ` +1 +\d+ +\d+ +0 +0 +0 +publish [05]×1$`)
		if !row.MatchString(out) {
			t.Errorf("%s has no row", broker)
		}
	}
}

// A small round of workers of each kind, on both brokers.
func TestCampaignOfWorkers(t *testing.T) {
	code, out, _ := runSoak(t, t.Context(), "-duration", "1ns", "-rounds", "1", "-seed", "7", "-only", "worker", "-part", "50", "-go-on")
	if code != allTrue {
		t.Errorf("exit code %d", code)
	}
	for flag, events := range map[string]string{execFlag: "200", loopFlag: "400"} {
		for _, broker := range []string{streaming, jetStream} {
			row := regexp.MustCompile(`(?m)^worker-` + flag + ` +` + broker + ` +1 +5 +` + events + ` +0 +\d+ +0 +listen 0×\d, publish 0×1$`)
			if !row.MatchString(out) {
				t.Errorf("--%s on %s has no row", flag, broker)
			}
		}
	}
}

// Programs that lie: publish acks events that it did not send.
func TestCampaignFindsALie(t *testing.T) {
	bin := t.TempDir()
	lie := `#!/bin/sh
while read -r line; do echo '{"subject":"ticket:created","id":"x","sequence":0}'; done
`
	if err := os.WriteFile(filepath.Join(bin, "publish"), []byte(lie), 0o700); err != nil {
		t.Fatal(err)
	}
	code, out, _ := runSoak(t, t.Context(), "-seed", "7", "-only", "cut-publish/jetstream", "-bin", bin)
	if code != notTrue || !strings.Contains(out, "1-publish: ") || !strings.Contains(out, "events were acked, 0 are stored") {
		t.Errorf("exit code %d", code)
	}
	_, rest, _ := strings.Cut(out, "all output and logs: ")
	dir, _, _ := strings.Cut(rest, "\n")
	for _, kept := range []string{"round.log", "1-publish.out", "1-publish.err", "events.ndjson", "server-1/server.log"} {
		if _, err := os.Stat(filepath.Join(dir, kept)); err != nil {
			t.Error(err)
		}
	}
}

func TestCampaignEndsBySignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, out, _ := runSoak(t, ctx); code != wasEnded || !strings.Contains(out, "SITUATION") {
		t.Errorf("exit code %d", code)
	}
}

func TestUnknownSituation(t *testing.T) {
	if code, _, errors := runSoak(t, t.Context(), "-only", "nonsense"); code != notRun || !strings.Contains(errors, "members-killed/stan") {
		t.Errorf("exit code %d", code)
	}
}
