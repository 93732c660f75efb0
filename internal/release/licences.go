package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// A linked package, as go list tells it.
type linked struct {
	ImportPath, Dir string
	Standard        bool
	Module          *module // nil for Go's own
}

type module struct {
	Path, Version, Dir string
	Main               bool // this one
}

// legal are the names of files that must go with what was built from their folder.
var legal = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|patents|copyright)([.-].*)?$`)

// licences puts the licence texts of all that a target's programs link into a folder,
// and a list of them.
func (r *release) licences(ctx context.Context, t target) error {
	packages, err := r.linked(ctx, t)
	if err != nil {
		return err
	}
	texts, err := licencesOf(packages, r.source)
	if err != nil {
		return err
	}
	for name, text := range texts {
		name = filepath.Join(r.dir(t), "LICENSES", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// licencesOf returns the texts that go with the packages, by the names of their files,
// and a list. A package without a licence that is known is an error.
func licencesOf(packages []linked, source string) (map[string][]byte, error) {
	texts, kinds := make(map[string][]byte), make(map[string][]string)
	var gaps []error
	for _, p := range packages {
		title, top := owner(p, source)
		if title == "" {
			continue // the project's own
		}
		found, err := above(p.Dir, top)
		if err != nil {
			return nil, err
		}
		var known []string
		for _, text := range found {
			content, err := os.ReadFile(filepath.Join(top, text))
			if err != nil {
				return nil, err
			}
			texts[filepath.Join(filepath.FromSlash(title), text)] = content
			known = append(known, kindsOf(content)...)
		}
		if len(known) == 0 {
			gaps = append(gaps, fmt.Errorf("no licence is known of %s (%s)", p.ImportPath, title))
		}
		kinds[title] = append(kinds[title], known...)
	}
	var list strings.Builder
	for _, title := range slices.Sorted(maps.Keys(kinds)) {
		slices.Sort(kinds[title])
		fmt.Fprintf(&list, "%s: %s\n", title, strings.Join(slices.Compact(kinds[title]), ", "))
	}
	texts["LIST"] = []byte(list.String())
	return texts, errors.Join(gaps...)
}

// linked lists the packages that are linked for a target.
func (r *release) linked(ctx context.Context, t target) ([]linked, error) {
	argv := []string{"go", "list", "-deps", "-json=ImportPath,Dir,Standard,Module"}
	for _, program := range programs {
		argv = append(argv, "./cmd/"+program)
	}
	out, err := command(ctx, r.source, t.env(), argv...)
	if err != nil {
		return nil, err
	}
	var packages []linked
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p linked
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// owner returns the name of what a package belongs to, and the folder whose licence it
// has: a module, Go itself, or what is kept in third_party. It is "" for the project's.
func owner(p linked, source string) (title, top string) {
	const borrowed = "/third_party/"
	switch {
	case p.Standard:
		return "go", strings.TrimSuffix(p.Dir, filepath.FromSlash("/src/"+p.ImportPath))
	case !p.Module.Main:
		return p.Module.Path + "@" + p.Module.Version, p.Module.Dir
	case strings.Contains(p.ImportPath, borrowed):
		_, below, _ := strings.Cut(p.ImportPath, borrowed)
		below, _, _ = strings.Cut(below, "/")
		return "third_party/" + below, filepath.Join(source, "third_party", below)
	}
	return "", ""
}

// above lists the legal files of a folder, and of those above it up to top, by their
// paths below top.
func above(dir, top string) (texts []string, err error) {
	for at := dir; strings.HasPrefix(at, top); at = filepath.Dir(at) {
		entries, err := os.ReadDir(at)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if !entry.IsDir() && legal.MatchString(entry.Name()) && !strings.HasSuffix(entry.Name(), ".go") {
				text, err := filepath.Rel(top, filepath.Join(at, entry.Name()))
				if err != nil {
					return nil, err
				}
				texts = append(texts, text)
			}
		}
	}
	return texts, nil
}

// kindsOf returns the SPDX identifiers of a text of which most is that of licences.
func kindsOf(text []byte) []string {
	const most = 75
	covered := licensecheck.Scan(text)
	if covered.Percent < most {
		return nil
	}
	var kinds []string
	for _, m := range covered.Match {
		kinds = append(kinds, m.ID)
	}
	return kinds
}
