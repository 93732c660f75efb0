package scripts_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	natsd "github.com/nats-io/nats-server/v2/server"
	stand "github.com/nats-io/nats-streaming-server/server"
	"github.com/nats-io/nats-streaming-server/stores"
)

// What is asked of a manifest here. `make lint` holds it against the schemas.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Replicas  int
		Resources resources // of a claim
		Template  struct {
			Metadata struct{ Annotations map[string]string }
			Spec     struct {
				HostNetwork     bool            `yaml:"hostNetwork"`
				HostPID         bool            `yaml:"hostPID"`
				HostIPC         bool            `yaml:"hostIPC"`
				SecurityContext securityContext `yaml:"securityContext"`
				Containers      []container
				Grace           int         `yaml:"terminationGracePeriodSeconds"`
				InitContainers  []container `yaml:"initContainers"`
				Volumes         []map[string]any
			}
		}
		VolumeClaimTemplates []object `yaml:"volumeClaimTemplates"`
	}
}

type resources struct {
	Requests, Limits struct{ Memory, Storage string }
}

type securityContext struct {
	RunAsNonRoot             bool  `yaml:"runAsNonRoot"`
	RunAsUser                int   `yaml:"runAsUser"`
	AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
	Privileged               bool
	SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
	Capabilities             struct{ Add, Drop []string }
}

type container struct {
	Command, Args []string
	Env           []struct{ Name, Value string }
	Ports         []struct {
		ContainerPort int `yaml:"containerPort"`
		HostPort      int `yaml:"hostPort"`
	}
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	Resources       resources
	SecurityContext securityContext `yaml:"securityContext"`
	LivenessProbe   *struct{}       `yaml:"livenessProbe"`
	ReadinessProbe  *struct{}       `yaml:"readinessProbe"`
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

// streaming returns the options that a Deployment's arguments mean.
func streaming(t *testing.T, file string) (object, *stand.Options, *natsd.Options) {
	t.Helper()
	deployment := manifest(t, file, "Deployment", "nats-depl")
	args := deployment.Spec.Template.Spec.Containers[0].Args
	nothing := func() { t.Error("the arguments ask for help or a version") }
	sopts, nopts, err := stand.ConfigureOptions(flag.NewFlagSet("server", flag.ContinueOnError), args, nothing, nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	return deployment, sopts, nopts
}

// The server takes the arguments of the Deployments, and means by them what the
// course does.
func TestStreamingManifests(t *testing.T) {
	for _, file := range []string{"nats-streaming.yaml", "nats-streaming-memory.yaml"} {
		deployment, sopts, nopts := streaming(t, file)
		if sopts.ID != "ticketing" || sopts.ClientHBInterval != 5*time.Second || sopts.ClientHBTimeout != 5*time.Second || sopts.ClientHBFailCount != 2 || !sopts.Debug {
			t.Errorf("%s: the server has the options %+v", file, sopts)
		}
		declared(t, deployment.Spec.Template.Spec.Containers[0], nopts.Port, nopts.HTTPPort)
	}
}

// Full channels fit where they lie: with what the server needs for each event beside
// it, and a quarter more for files of events that are not all dropped yet.
func TestStreamingManifestLimits(t *testing.T) {
	deployment, sopts, _ := streaming(t, "nats-streaming.yaml")
	limits := sopts.StoreLimits
	mounted := deployment.Spec.Template.Spec.Containers[0].VolumeMounts
	claim := manifest(t, "nats-streaming.yaml", "PersistentVolumeClaim", "nats-streaming-data")
	if !strings.EqualFold(sopts.StoreType, stores.TypeFile) || len(mounted) != 1 || !strings.HasPrefix(sopts.FilestoreDir, mounted[0].MountPath+"/") ||
		!strings.Contains(fmt.Sprint(deployment.Spec.Template.Spec.Volumes), "claimName:"+claim.Metadata.Name) {
		t.Errorf("the events lie in a %s store, %q", sopts.StoreType, sopts.FilestoreDir)
	}
	const record = 8 + 32 // the head of an event, and its place in the index
	full := int64(limits.MaxChannels) * (limits.MaxBytes + record*int64(limits.MaxMsgs)) * 5 / 4
	if storage := bytesOf(t, claim.Spec.Resources.Requests.Storage); full <= 0 || full > storage {
		t.Errorf("the volume has %d bytes, full channels need %d", storage, full)
	}

	deployment, sopts, _ = streaming(t, "nats-streaming-memory.yaml")
	limits = sopts.StoreLimits
	const object = 400 // measured: some 300 bytes more than the event
	full = int64(limits.MaxChannels) * (limits.MaxBytes + object*int64(limits.MaxMsgs))
	if memory := bytesOf(t, deployment.Spec.Template.Spec.Containers[0].Resources.Limits.Memory); !strings.EqualFold(sopts.StoreType, stores.TypeMemory) || full <= 0 || full > memory*3/4 {
		t.Errorf("the memory has %d bytes, full channels need %d", memory, full)
	}
}

// bytesOf reads a quantity of Kubernetes, or of GOMEMLIMIT.
func bytesOf(t *testing.T, quantity string) int64 {
	t.Helper()
	number, unit, factor := strings.TrimSuffix(quantity, "B"), "", int64(1)
	for i, u := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if strings.HasSuffix(number, u) {
			unit, factor = u, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(number, unit), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n * factor
}

// The garbage collector keeps the programs below the limits of their memory, a server
// that hangs is restarted, and a namespace with PodSecurity "restricted" takes them.
func TestManifestsOfPods(t *testing.T) {
	for file, kindAndName := range map[string][2]string{
		"nats-streaming.yaml":        {"Deployment", "nats-depl"},
		"nats-streaming-memory.yaml": {"Deployment", "nats-depl"},
		"jetstream.yaml":             {"StatefulSet", "nats"},
		"mailer.yaml":                {"Deployment", "mailer"},
	} {
		spec := manifest(t, file, kindAndName[0], kindAndName[1]).Spec.Template.Spec
		pod := spec.SecurityContext
		if spec.HostNetwork || spec.HostPID || spec.HostIPC || !pod.RunAsNonRoot || pod.RunAsUser == 0 || pod.SeccompProfile.Type != "RuntimeDefault" {
			t.Errorf("%s: the pod is not restricted: %+v", file, pod)
		}
		for _, volume := range spec.Volumes {
			for kind := range volume {
				if !slices.Contains([]string{"name", "configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}, kind) {
					t.Errorf("%s: a volume is a %s", file, kind)
				}
			}
		}
		for _, c := range append(spec.Containers, spec.InitContainers...) {
			s := c.SecurityContext
			if s.Privileged || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || len(s.Capabilities.Add) > 0 || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
				t.Errorf("%s: a container is not restricted: %+v", file, s)
			}
			if c.LivenessProbe == nil || c.ReadinessProbe == nil {
				t.Errorf("%s: a probe is missing", file)
			}
			i := slices.IndexFunc(c.Env, func(v struct{ Name, Value string }) bool { return v.Name == "GOMEMLIMIT" })
			if i < 0 || bytesOf(t, c.Env[i].Value) > bytesOf(t, c.Resources.Limits.Memory)*9/10 {
				t.Errorf("%s: GOMEMLIMIT is not below the limit of the memory", file)
			}
		}
	}
}

// The server takes the configuration, in which the pod's name is put. It is a part of
// the pods' template: a change restarts them.
func TestJetStreamManifest(t *testing.T) {
	set := manifest(t, "jetstream.yaml", "StatefulSet", "nats")
	text := set.Spec.Template.Metadata.Annotations["nats.conf"]
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POD_NAME", "nats-1")
	opts, err := natsd.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if opts.ServerName != "nats-1" || !opts.JetStream || opts.StoreDir != "/data" || len(opts.Routes) != set.Spec.Replicas {
		t.Errorf("the server has the options %+v", opts)
	}
	container := set.Spec.Template.Spec.Containers[0]
	storage, memory := set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage, container.Resources.Limits.Memory
	if opts.JetStreamMaxStore > bytesOf(t, storage)*9/10 || opts.JetStreamMaxMemory > bytesOf(t, memory)/2 {
		t.Errorf("streams may take %d bytes of the volume, %d of the memory", opts.JetStreamMaxStore, opts.JetStreamMaxMemory)
	}
	var mounted string
	for _, mount := range container.VolumeMounts {
		if mount.Name == "config" {
			mounted = mount.MountPath
		}
	}
	projected := fmt.Sprint(set.Spec.Template.Spec.Volumes)
	if !strings.Contains(projected, "fieldPath:metadata.annotations['nats.conf']") || !slices.Contains(container.Command, mounted+"/nats.conf") {
		t.Errorf("the server is started with %q, and %q is mounted at %q", container.Command, projected, mounted)
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
