package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed nfpm.yaml
var packaging []byte

// tools builds the tools, whose dependencies have a module file of their own, for this
// machine.
func (r *release) tools(ctx context.Context) error {
	_, err := command(ctx, r.source, []string{"GOFLAGS="}, "go", "build", "-modfile=.ci/release.mod", "-buildvcs=false",
		"-o", r.work+string(filepath.Separator), "github.com/goreleaser/nfpm/v2/cmd/nfpm", "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod")
	return err
}

// packages makes the deb and rpm packages of a target.
func (r *release) packages(ctx context.Context, t target) error {
	config := filepath.Join(r.work, t.String()+".yaml")
	files := strings.ReplaceAll(string(packaging), "./", filepath.ToSlash(r.dir(t))+"/")
	if err := os.WriteFile(config, []byte(files), 0o644); err != nil {
		return err
	}
	env := []string{"VERSION=" + r.version, "ARCH=" + t.arch, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.time.Unix())}
	for _, kind := range []string{"deb", "rpm"} {
		file := filepath.Join(r.out, r.title(t)+"."+kind)
		if _, err := command(ctx, r.source, env, filepath.Join(r.work, "nfpm"), "package", "-f", config, "-p", kind, "-t", file); err != nil {
			return err
		}
	}
	return nil
}

// listParts writes a bill of materials of each program for Linux, as CycloneDX, without
// what would differ from run to run.
func (r *release) listParts(ctx context.Context) error {
	for _, program := range programs {
		file := filepath.Join(r.out, fmt.Sprintf("%s_%s_%s.cdx.json", name, r.version, program))
		_, err := command(ctx, r.source, targets[0].env(), filepath.Join(r.work, "cyclonedx-gomod"), "app", "-json", "-std", "-licenses",
			"-noserial", "-notimestamp", "-main", "cmd/"+program, "-output", file)
		if err != nil {
			return err
		}
	}
	return nil
}
