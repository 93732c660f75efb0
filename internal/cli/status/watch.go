package status

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/fault"
)

// watch shows a report each second, in place, until q, Ctrl-C or ctx is done. The
// last two are an interruption if no report was shown yet.
func watch(parent context.Context, s *console.System, p *reportPaint, look func(context.Context) (*report, error)) error {
	ctx, stop := context.WithCancel(parent)
	defer stop()
	screen := &screen{ctx: ctx, paint: p, snapshot: look, width: s.Width}
	options := []tea.ProgramOption{tea.WithOutput(s.Stdout), tea.WithoutSignalHandler(),
		tea.WithColorProfile(colorprofile.ANSI)} // text without colour arrives without it
	if s.StdinTTY && !stdio.InBackground(s.Stdin) {
		options = append(options, tea.WithInput(s.Stdin))
	} else {
		options = append(options, tea.WithInput(nil)) // the stdin of a shell loop, or the terminal of a foreground process, is not for keys
	}
	program := tea.NewProgram(screen, options...)
	screen.leave = program.ReleaseTerminal
	// Not tea.WithContext: it does not wait for the goroutine that reads keys.
	quit := context.AfterFunc(ctx, program.Quit)
	_, err := program.Run()
	quit()
	stop()
	screen.end()
	if err == nil && screen.report == nil && (screen.cut || parent.Err() != nil) {
		return errCutShort
	}
	return err
}

// A screen is the state of a watch. Bubble Tea calls its methods one at a time.
type screen struct {
	ctx      context.Context // of the watch: a snapshot outlives the method call that starts it
	paint    *reportPaint
	snapshot func(context.Context) (*report, error)
	leave    func() error // restores the terminal

	width, height int
	offset        int // lines scrolled away
	report        *report
	err           error
	lines         []string // the whole report
	cut           bool     // by Ctrl-C

	looking sync.Mutex // held while a snapshot is taken
	over    bool       // no more snapshots
}

// end waits for the snapshot in progress.
func (s *screen) end() {
	s.looking.Lock()
	defer s.looking.Unlock()
	s.over = true
}

// restore, deferred, restores the terminal before a panic continues: its message
// would be unreadable otherwise.
func (s *screen) restore() {
	if what := recover(); what != nil {
		_ = s.leave()
		panic(what)
	}
}

// A snapshotMsg is the result of a snapshot.
type snapshotMsg struct {
	report *report
	err    error
}

func (s *screen) Init() tea.Cmd { return s.ask }

func (s *screen) ask() tea.Msg {
	defer fault.Exit()
	defer s.restore()
	s.looking.Lock()
	defer s.looking.Unlock()
	if s.over {
		return nil
	}
	r, err := s.snapshot(s.ctx)
	return snapshotMsg{r, err}
}

func (s *screen) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	defer fault.Exit()
	defer s.restore()
	switch m := message.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
		s.draw()
	case snapshotMsg:
		if s.err = m.err; m.err == nil {
			s.report = m.report
		}
		s.draw()
		s.scroll()
		return s, tea.Tick(watchEvery, func(time.Time) tea.Msg { return s.ask() })
	case tea.KeyPressMsg:
		page := max(1, s.height-2)
		switch m.String() {
		case "q", "ctrl+c", "esc":
			s.cut = m.String() == "ctrl+c"
			return s, tea.Quit
		case "up", "k":
			s.offset--
		case "down", "j":
			s.offset++
		case "pgup", "b":
			s.offset -= page
		case "pgdown", "space":
			s.offset += page
		case "home", "g":
			s.offset = 0
		case "end", "G":
			s.offset = len(s.lines)
		}
	}
	s.scroll()
	return s, nil
}

// scroll limits the offset to the last full page.
func (s *screen) scroll() { s.offset = max(0, min(s.offset, len(s.lines)-s.height+1)) }

// draw splits the report into lines.
func (s *screen) draw() {
	var text strings.Builder
	if s.err != nil {
		text.WriteString(ansi.Wrap(s.paint.bad.Sprint(console.Printable(s.err.Error())), max(1, s.width), "") + "\n")
	}
	if s.report != nil {
		text.WriteString(s.paint.text(s.report, s.width, true))
	} else if s.err == nil {
		text.WriteString("looking ...\n")
	}
	s.lines = strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

func (s *screen) View() tea.View {
	defer fault.Exit()
	defer s.restore()
	lines := s.lines
	var out []string
	for i := s.offset; i < len(lines) && len(out) < s.height-1; i++ {
		out = append(out, ansi.Truncate(lines[i], s.width, "…"))
	}
	foot := fmt.Sprintf("lines %d-%d of %d; q quits, arrows scroll", min(s.offset+1, len(lines)), s.offset+len(out), len(lines))
	if s.report != nil {
		foot += s.report.Time.Format("; as of 15:04:05")
	}
	for len(out) < s.height-1 {
		out = append(out, "")
	}
	view := tea.NewView(strings.Join(append(out, s.paint.faint.Sprint(ansi.Truncate(foot, s.width, "…"))), "\n"))
	view.AltScreen = true
	return view
}
