package scripts_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	natsd "github.com/nats-io/nats-server/v2/server"
	stand "github.com/nats-io/nats-streaming-server/server"
)

// What is asked of a manifest here. `make lint` holds it against the schemas.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Replicas int
		Template struct {
			Spec struct{ Containers []container }
		}
	}
}

type container struct {
	Command, Args []string
	Ports         []struct {
		ContainerPort int `yaml:"containerPort"`
	}
}

// manifest returns an object of a file in deploy/k8s.
func manifest(t *testing.T, file, kind, name string) object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "k8s", file))
	if err != nil {
		t.Fatal(err)
	}
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o object
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			t.Fatalf("%s has no %s %q", file, kind, name)
		} else if err != nil {
			t.Fatal(err)
		}
		if o.Kind == kind && o.Metadata.Name == name {
			return o
		}
	}
}

// The server takes the arguments of the Deployment, and means by them what the
// course does.
func TestStreamingManifest(t *testing.T) {
	containers := manifest(t, "nats-streaming.yaml", "Deployment", "nats-depl").Spec.Template.Spec.Containers
	nothing := func() { t.Error("the arguments ask for help or a version") }
	sopts, nopts, err := stand.ConfigureOptions(flag.NewFlagSet("server", flag.ContinueOnError), containers[0].Args, nothing, nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if sopts.ID != "ticketing" || sopts.ClientHBInterval != 5*time.Second || sopts.ClientHBTimeout != 5*time.Second || sopts.ClientHBFailCount != 2 || !sopts.Debug {
		t.Errorf("the server has the options %+v", sopts)
	}
	declared(t, containers[0], nopts.Port, nopts.HTTPPort)
}

// The server takes the configuration, in which the pod's name is put.
func TestJetStreamManifest(t *testing.T) {
	set := manifest(t, "jetstream.yaml", "StatefulSet", "nats")
	text := manifest(t, "jetstream.yaml", "ConfigMap", "nats-config").Data["nats.conf"]
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POD_NAME", "nats-1")
	opts, err := natsd.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if opts.ServerName != "nats-1" || !opts.JetStream || opts.StoreDir != "/data" || opts.JetStreamMaxStore != 9<<30 || len(opts.Routes) != set.Spec.Replicas {
		t.Errorf("the server has the options %+v", opts)
	}
	container := set.Spec.Template.Spec.Containers[0]
	if !slices.Contains(container.Command, "/etc/nats-config/nats.conf") {
		t.Errorf("the server is started with %q", container.Command)
	}
	declared(t, container, opts.Port, opts.HTTPPort, opts.Cluster.Port)
	opts.StoreDir, opts.NoSigs = t.TempDir(), true
	if _, err := natsd.NewServer(opts); err != nil {
		t.Errorf("the server refuses the configuration: %v", err)
	}
}

// declared wants a container to declare just these ports: by them, the script
// knows that there is a monitoring.
func declared(t *testing.T, c container, want ...int) {
	t.Helper()
	var got []int
	for _, port := range c.Ports {
		got = append(got, port.ContainerPort)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the container declares the ports %v, want %v", got, want)
	}
}
