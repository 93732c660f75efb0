// Command release makes what users install: archives, packages for Debian and Red Hat,
// a container image, with manual pages, completions, licences and a bill of materials.
// From the same revision and Go version come the same bytes, wherever it runs.
//
// The package's rule: what is made comes from the commit and the modules that it names;
// neither the machine, its clock nor its network is seen in it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// name begins the names of all files.
const name = "nats-test"

// sums is the name of the file with the checksums of all others.
const sums = "SHA256SUMS"

// A target is a platform that the programs are built for.
type target struct {
	os, arch string
	packages bool // deb and rpm, and a part of the image
}

var targets = []target{
	{"linux", "amd64", true},
	{"linux", "arm64", true},
	{"darwin", "amd64", false},
	{"darwin", "arm64", false},
	{"windows", "amd64", false},
	{"windows", "arm64", false},
}

func (t target) String() string { return t.os + "_" + t.arch }

// A release is one run.
type release struct {
	source  string // the folder with the commit
	out     string // the folder of what is made
	version string // as the programs say it, without v
	time    time.Time
	work    string // a folder for what is put together
}

func main() {
	out := flag.String("out", "dist", "make the files in `FOLDER`, in place of an earlier release")
	reference := flag.String("reference", "", "only write the reference of all commands into `FOLDER`")
	only := flag.String("only", "", "make these `TARGETS` alone, such as linux_amd64,darwin_arm64")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := func() error {
		if *reference != "" {
			return writeReference(*reference)
		}
		return run(ctx, ".", *out, *only)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run makes the release of the commit in the folder source, for the targets that are
// named, or for all, in the folder out.
func run(ctx context.Context, source, out, only string) error {
	source, err := filepath.Abs(source)
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	chosen := targets
	if only != "" {
		chosen = nil
		for named := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(targets, func(t target) bool { return t.String() == named })
			if i < 0 {
				return fmt.Errorf("no target is called %q: they are %v", named, targets)
			}
			chosen = append(chosen, targets[i])
		}
	}
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // of no use any more
	if err := errors.Join(removeRelease(out), os.MkdirAll(out, 0o755)); err != nil {
		return err
	}
	r := &release{source: source, out: out, work: work}
	if r.time, err = commitTime(ctx, source); err != nil {
		return err
	}
	for _, t := range chosen { // each build uses all cores
		if err := r.build(ctx, t); err != nil {
			return fmt.Errorf("%v: %w", t, err)
		}
	}
	if err := errors.Join(r.document(), r.tools(ctx)); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range chosen {
		group.Go(func() error {
			if err := r.pack(ctx, t); err != nil {
				return fmt.Errorf("%v: %w", t, err)
			}
			return nil
		})
	}
	group.Go(func() error { return r.listParts(ctx) })
	if err := group.Wait(); err != nil {
		return err
	}
	if err := r.image(chosen); err != nil {
		return fmt.Errorf("the container image: %w", err)
	}
	return r.sum()
}

// removeRelease removes an earlier release from a folder, and nothing else.
func removeRelease(out string) error {
	old, err := made(out)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, file := range append(old, sums) {
		if e := os.Remove(filepath.Join(out, file)); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// made lists the files of a release in a folder, but for their sums.
func made(out string) (files []string, err error) {
	entries, err := os.ReadDir(out)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), name+"_") {
			files = append(files, entry.Name())
		}
	}
	return files, err
}

// pack makes the archive of a target, and its packages.
func (r *release) pack(ctx context.Context, t target) error {
	if err := r.licences(ctx, t); err != nil {
		return err
	}
	for _, doc := range []string{"README.md", "CHANGELOG.md"} {
		if err := copyFile(filepath.Join(r.dir(t), doc), filepath.Join(r.source, doc)); err != nil {
			return err
		}
	}
	if err := os.CopyFS(filepath.Join(r.dir(t), "docs"), os.DirFS(filepath.Join(r.source, "docs"))); err != nil {
		return err
	}
	for _, made := range []string{"man", "completions"} {
		if err := os.CopyFS(filepath.Join(r.dir(t), made), os.DirFS(filepath.Join(r.work, made))); err != nil {
			return err
		}
	}
	if err := readable(r.dir(t)); err != nil {
		return err
	}
	if err := r.archive(t); err != nil || !t.packages {
		return err
	}
	return r.packages(ctx, t)
}

// title is the name of a target's files, and of the folder in its archive.
func (r *release) title(t target) string { return fmt.Sprintf("%s_%s_%v", name, r.version, t) }

// dir is where the files of a target are put together.
func (r *release) dir(t target) string { return filepath.Join(r.work, t.String()) }

// commitTime is SOURCE_DATE_EPOCH, where that is set, or when the commit was made.
func commitTime(ctx context.Context, source string) (time.Time, error) {
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		out, err := command(ctx, source, nil, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("a release is made from a commit: %w", err)
		}
		seconds = strings.TrimSpace(string(out))
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(n, 0).UTC(), nil
}

// command runs a command in a folder with more environment, and returns its output. The
// error says what the command said.
func command(ctx context.Context, dir string, env []string, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(argv[:min(len(argv), 4)], " "), err)
	}
	return out, nil
}
