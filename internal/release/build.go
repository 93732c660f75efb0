package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The commands that a release has.
var programs = []string{"publish", "listen"}

// build builds the programs for a target, with the version that Go finds in the tags of
// the commit.
func (r *release) build(ctx context.Context, t target) error {
	dir := r.dir(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	argv := []string{"go", "build", "-trimpath", "-buildvcs=true", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	for _, program := range programs {
		argv = append(argv, "./cmd/"+program)
	}
	fmt.Println("building for", t.os, t.arch)
	if _, err := command(ctx, r.source, t.env(), argv...); err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(r.program(t, programs[0]))
	if err != nil {
		return err
	}
	r.version = strings.TrimPrefix(info.Main.Version, "v")
	return nil
}

// env makes go build for the target, the same on every machine.
func (t target) env() []string {
	return []string{"CGO_ENABLED=0", "GOFLAGS=", "GOOS=" + t.os, "GOARCH=" + t.arch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT="}
}

// program is the path of a program that was built.
func (r *release) program(t target, name string) string {
	if t.os == "windows" {
		name += ".exe"
	}
	return filepath.Join(r.dir(t), name)
}
