package fault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const child = "FAULT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		waiting := make(chan struct{})
		go func() {
			defer close(waiting)
			defer Exit()
			panic("at \x1b[31m\u202e\nodds" + strings.Repeat("!", 1000))
		}()
		<-waiting
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A panic is one line, safe for a terminal, and exit code 1; DEBUG shows the stack.
func TestExit(t *testing.T) {
	for _, env := range []string{"DEBUG=", "DEBUG=1"} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{child + "=1", env}
		out, _ := cmd.CombinedOutput() // its exit code says it
		if code := cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("%s: exit code %d, want 1", env, code)
		}
		said := string(out)
		if !strings.Contains(said, ": a fault of this program: at  [31m  odds!!") || !strings.Contains(said, "!…\n") {
			t.Errorf("%s: says %q", env, said)
		}
		if stack := strings.Contains(said, "fault_test.go:"); stack != (env == "DEBUG=1") {
			t.Errorf("%s: stack shown: %v", env, stack)
		}
		if env == "DEBUG=" && (strings.Count(said, "\n") != 2 || !strings.Contains(said, "report it")) {
			t.Errorf("%s: says %q", env, said)
		}
	}
}

// Every goroutine, and every callback that a library calls from one of its own,
// begins with a deferred Exit.
func TestNoGoroutineIsWithoutIt(t *testing.T) {
	callers := []string{"Go", "AfterFunc", "Subscribe", "QueueSubscribe", "SetClosedHandler", "SetConnectionLostHandler",
		"DisconnectErrHandler", "ReconnectHandler", "ClosedHandler", "ErrorHandler", "ReconnectToServer"}
	seen := 0
	dirs := packages(t, "cli", "conn", "monitor", "events", "worker")
	everywhere := make(map[string][]*ast.BlockStmt) // the functions of all packages
	for _, dir := range dirs {
		_, methods := parse(t, dir)
		for name, bodies := range methods {
			everywhere[name] = append(everywhere[name], bodies...)
		}
	}
	for _, dir := range dirs {
		files, methods := parse(t, dir)
		check := func(at token.Position, f ast.Expr, wanted bool) {
			switch f := f.(type) {
			case *ast.FuncLit:
				seen++
				if !trivial(f.Body) && !begins(f.Body) {
					t.Errorf("%s: a function without a deferred fault.Exit", at)
				}
			case *ast.Ident, *ast.SelectorExpr:
				if wanted {
					seen++
					bodies := methods[nameOf(f)]
					if len(bodies) == 0 { // of another package
						bodies = everywhere[nameOf(f)]
					}
					if !slices.ContainsFunc(bodies, begins) {
						t.Errorf("%s: %s is without a deferred fault.Exit", at, nameOf(f))
					}
				}
			}
		}
		for fset, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					check(fset.Position(n.Pos()), n.Call.Fun, true)
				case *ast.CallExpr:
					if caller := nameOf(n.Fun); slices.Contains(callers, caller) && len(n.Args) > 0 && !ours(n.Fun) {
						called := n.Args[len(n.Args)-1]
						if caller == "QueueSubscribe" || caller == "Subscribe" && len(n.Args) > 2 { // of stan.go: options follow
							called = n.Args[slices.IndexFunc(n.Args, func(e ast.Expr) bool { _, ok := e.(*ast.FuncLit); return ok })]
						}
						check(fset.Position(n.Pos()), called, caller == "Go" || caller == "Subscribe" || caller == "ReconnectToServer")
					}
				}
				return true
			})
		}
	}
	if seen < 30 {
		t.Errorf("only %d of them seen", seen)
	}
}

// packages returns the folders of packages, and of those below them.
func packages(t *testing.T, names ...string) (dirs []string) {
	t.Helper()
	for _, name := range names {
		err := filepath.WalkDir(filepath.Join("..", name), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.Name() == "testdata":
				return fs.SkipDir
			case entry.IsDir():
				if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) > 0 {
					dirs = append(dirs, path)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dirs
}

// parse returns the files of a package, and the bodies of its functions by name.
func parse(t *testing.T, dir string) (files map[*token.FileSet]*ast.File, bodies map[string][]*ast.BlockStmt) {
	t.Helper()
	files, bodies = make(map[*token.FileSet]*ast.File), make(map[string][]*ast.BlockStmt)
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[fset] = file
		for _, d := range file.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				bodies[d.Name.Name] = append(bodies[d.Name.Name], d.Body)
			}
		}
	}
	return files, bodies
}

// trivial reports whether a function does nothing, or only calls a library.
func trivial(body *ast.BlockStmt) bool {
	if len(body.List) != 1 {
		return len(body.List) == 0
	}
	assign, ok := body.List[0].(*ast.AssignStmt)
	return ok && nameOf(assign.Lhs[0]) == "_"
}

// begins reports whether a deferred fault.Exit stands in a function itself.
func begins(body *ast.BlockStmt) bool {
	return slices.ContainsFunc(body.List, func(s ast.Stmt) bool {
		d, ok := s.(*ast.DeferStmt)
		if !ok {
			return false
		}
		call, ok := d.Call.Fun.(*ast.SelectorExpr)
		return ok && call.Sel.Name == "Exit" && nameOf(call.X) == "fault"
	})
}

// ours reports whether a method is that of a conn.Session, which calls back from
// goroutines and callbacks of its own.
func ours(method ast.Expr) bool {
	s, ok := method.(*ast.SelectorExpr)
	return ok && nameOf(s.X) == "session"
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
