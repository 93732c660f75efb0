package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nobody is the user that a container runs as, by number: Kubernetes can tell that it
// is not root.
const nobody = "65532:65532"

// image makes a container image for the targets with packages, if there are any, as an OCI archive: the
// static programs, certificates of authorities and licences, and no shell.
func (r *release) image(chosen []target) error {
	if !slices.ContainsFunc(chosen, func(t target) bool { return t.packages }) {
		return nil
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, t := range chosen {
		if !t.packages {
			continue
		}
		img, err := r.imageOf(t)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: t.os, Architecture: t.arch}},
		})
	}
	dir := filepath.Join(r.work, "image")
	files, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.version})
	if err := files.AppendIndex(index, named); err != nil {
		return err
	}
	return create(filepath.Join(r.out, name+"_"+r.version+"_image.tar"), func(w io.Writer) error {
		return writeTar(w, os.DirFS(dir), "", r.time)
	})
}

func (r *release) imageOf(t target) (v1.Image, error) {
	root := filepath.Join(r.work, "root-"+t.String())
	bin, certs, doc := filepath.Join(root, "usr", "bin"), filepath.Join(root, "etc", "ssl", "certs"), filepath.Join(root, "usr", "share", "doc", name)
	for _, dir := range []string{bin, certs, doc} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for _, program := range programs {
		if err := os.Link(r.program(t, program), filepath.Join(bin, program)); err != nil {
			return nil, err
		}
	}
	err := errors.Join(
		os.CopyFS(filepath.Join(doc, "LICENSES"), os.DirFS(filepath.Join(r.dir(t), "LICENSES"))),
		os.WriteFile(filepath.Join(certs, "ca-certificates.crt"), authorities(), 0o644),
		os.WriteFile(filepath.Join(root, "etc", "passwd"), []byte("nonroot:x:65532:65532::/:/sbin/nologin\n"), 0o644),
	)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	if err := writeTar(&content, os.DirFS(root), "", r.time); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: r.time}, CreatedBy: "make release"}}); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.OS, config.Architecture, config.Created = t.os, t.arch, v1.Time{Time: r.time}
	config.Config = v1.Config{
		User: nobody, Env: []string{"PATH=/usr/bin"}, Cmd: []string{"listen", "--help"},
		Labels: map[string]string{"org.opencontainers.image.title": name, "org.opencontainers.image.version": r.version},
	}
	return mutate.ConfigFile(img, config)
}

// authorities are Mozilla's, in PEM, but for those that are trusted for older
// certificates alone: a file can't say that.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // into memory
		}
	}
	return b.Bytes()
}
