package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// testPackages installs and removes the package, and runs the container image.
func testPackages(t *testing.T, made string) {
	t.Run("deb", func(t *testing.T) {
		for _, needed := range []string{"dpkg", "man"} {
			if _, err := exec.LookPath(needed); err != nil && os.Getenv("CI") == "" {
				t.Logf("no %s: the package is not installed", needed)
				return
			}
		}
		testDeb(t, find(t, made, "*.deb"))
	})
	t.Run("rpm", func(t *testing.T) {
		if !strings.HasPrefix(read(t, find(t, made, "*.rpm")), "\xed\xab\xee\xdb") {
			t.Error("it does not begin as one")
		}
	})
	t.Run("image", func(t *testing.T) { testImage(t, find(t, made, "*_image.tar")) })
}

// testDeb has dpkg install the package in a folder and remove it again.
func testDeb(t *testing.T, deb string) {
	root := t.TempDir()
	admin := filepath.Join(root, "var", "lib", "dpkg")
	for _, dir := range []string{"updates", "info", "triggers"} {
		if err := os.MkdirAll(filepath.Join(admin, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(admin, "status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg := []string{"dpkg", "--force-not-root", "--force-script-chrootless", "--root=" + root, "--log=" + os.DevNull}
	output(t, append(dpkg, "-i", deb)...)
	for _, program := range programs {
		file := filepath.Join(root, "usr", "bin", program)
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o755 {
			t.Errorf("%s: %v %v", file, info, err)
		}
		output(t, file, "--version")
		page := output(t, "man", "-l", filepath.Join(root, "usr", "share", "man", "man1", program+".1"))
		page = strings.Join(strings.Fields(page), " ")
		if !strings.Contains(page, program+" - ") || !strings.Contains(page, "130 interrupted") {
			t.Errorf("man %s shows\n%s", program, page)
		}
		completion := filepath.Join(root, "usr", "share", "bash-completion", "completions", program)
		output(t, "bash", "-c", `. "$1"; complete -p `+program, "bash", completion)
	}
	output(t, append(dpkg, "-r", "nats-test")...)
	if left, err := os.ReadDir(filepath.Join(root, "usr")); err == nil {
		t.Errorf("left behind: %v", left)
	}
}

// testImage runs the programs in the root file system of the image, as its user. It
// has nothing else: no shell, no library.
func testImage(t *testing.T, archive string) {
	dir, root := t.TempDir(), t.TempDir()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	untar(t, f, dir)
	top, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := top.IndexManifest()
	if err != nil || len(outer.Manifests) != 1 {
		t.Fatal(outer, err)
	}
	index, err := top.ImageIndex(outer.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := index.IndexManifest()
	if err != nil || len(inner.Manifests) != 1 || inner.Manifests[0].Platform.Architecture != runtime.GOARCH {
		t.Fatal(inner, err)
	}
	img, err := index.Image(inner.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, img, root)
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" {
		t.Errorf("it runs as %q", config.Config.User)
	}
	const nobody = 65532
	for _, program := range programs {
		cmd := exec.Command("/usr/bin/"+program, "--version")
		cmd.Env, cmd.Dir = config.Config.Env, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		if os.Geteuid() == 0 {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		} else { // a user of one's own may change the root
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getuid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), program+" version ") {
			t.Errorf("%s in the image: %v %s", program, err, out)
		}
	}
	if certs := read(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")); strings.Count(certs, "BEGIN CERTIFICATE") < 50 {
		t.Errorf("%d authorities", strings.Count(certs, "BEGIN CERTIFICATE"))
	}
}

func unpack(t *testing.T, img v1.Image, root string) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close() //nolint:errcheck // only read
	untar(t, content, root)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
}
