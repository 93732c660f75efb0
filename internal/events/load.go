package events

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nats-test/internal/events/contract"
)

// A LoadError lists the faults of a catalogue's folder or manifest.
type LoadError struct {
	Path   string // as given by the user
	Faults []error
}

func (e *LoadError) Error() string {
	faults := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		faults[i] = f.Error()
	}
	return fmt.Sprintf("the catalogue %s: %s", e.Path, strings.Join(faults, "; "))
}

// Unwrap returns the faults.
func (e *LoadError) Unwrap() []error { return e.Faults }

// Load returns the catalogue at path: a folder with a manifest ([ManifestName]), or
// the manifest itself. It only reads the manifest; contracts are read on first use.
// Its errors are [*LoadError]s.
func Load(path string) (*Catalogue, error) {
	c, faults := load(path)
	if len(faults) > 0 {
		return nil, &LoadError{path, faults}
	}
	return c, nil
}

// Check returns the number of events and all faults of the catalogue at path, in
// the order of the manifest: faults of the manifest, subjects that differ only in
// case or are refused by legal, contracts that don't compile, and examples that
// break their contract. The error is a [*LoadError] if there is no catalogue.
func Check(path string, legal func(subject string) error) (events int, faults []error, err error) {
	c, faults := load(path)
	if c == nil {
		return 0, nil, &LoadError{path, faults}
	}
	seen := make(map[string]string)
	for _, k := range c.contracts {
		fault := func(err error) { faults = append(faults, fmt.Errorf("%s: %w", k.Subject, err)) }
		if other, twice := seen[strings.ToLower(k.Subject)]; twice {
			fault(fmt.Errorf("differs from %s only in case", other))
		}
		seen[strings.ToLower(k.Subject)] = k.Subject
		if err := legal(k.Subject); err != nil {
			fault(err)
		}
		if err := k.Compile(); err != nil {
			fault(err)
		} else if err := k.checkExample(); err != nil {
			fault(fmt.Errorf("its example: %w", err))
		}
	}
	return len(c.contracts), faults, nil
}

// checkExample checks the catalogue's example, if there is one.
func (c *Contract) checkExample() error {
	if c.example == nil {
		return nil
	}
	data, err := c.Example()
	if err != nil {
		return err
	}
	wire, err := c.Encode(data)
	if err == nil {
		_, err = c.Decode(wire)
	}
	return err
}

// load returns the catalogue at path as far as it could be read, and all faults of
// its manifest.
func load(path string) (*Catalogue, []error) {
	name := ManifestName
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, []error{errors.New("there is no such folder")}
	case err != nil:
		return nil, []error{contract.Reason(err)}
	case !info.IsDir():
		path, name = filepath.Split(path)
		if path == "" {
			path = "."
		}
	}
	files := contract.NewFolder(path)
	text, err := files.Read(name)
	if err != nil {
		return nil, []error{err}
	}
	entries, problems := parseManifest(name, text)
	var faults []error
	for _, p := range problems {
		faults = append(faults, p)
	}
	c := newCatalogue()
	compilers := make(map[*contract.Format]contract.Compiler)
	for _, e := range entries {
		f := e.format()
		if compilers[f] == nil {
			compilers[f] = f.New(files)
		}
		c.contracts = append(c.contracts, e.contract(files, compilers[f]))
	}
	return c, faults
}

// contract returns the contract of an entry. Its files are read on first use.
func (e *entry) contract(files *contract.Folder, compiler contract.Compiler) *Contract {
	c := newContract(e.subject, e.Description, e.format(), func() (contract.Codec, error) { return compiler.Compile(e.reference()) })
	switch {
	case e.Example.file != "":
		c.example = func() ([]byte, error) { return files.Read(e.Example.file) }
	case e.Example.text != "":
		c.example = func() ([]byte, error) { return []byte(e.Example.text), nil }
	}
	return c
}
