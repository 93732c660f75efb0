package status

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/fatih/color"

	"nats-test/internal/cli/console"
	"nats-test/internal/monitor"
)

// Limits of the text output; -o json has none.
const (
	mostRows       = 500
	mostMembers    = 5 // of one group
	mostJudgements = 50
	narrowest      = 72 // columns needed by the table
)

// A reportPaint formats reports for people.
type reportPaint struct {
	head, bad, warn, good, faint *color.Color
}

func paintReport(tell *console.Console) *reportPaint {
	shade := tell.Paint
	return &reportPaint{
		head: shade(color.Bold), bad: shade(color.FgRed), warn: shade(color.FgYellow),
		good: shade(color.FgGreen), faint: shade(color.Faint),
	}
}

// text formats a report for width columns, 0 for no limit. The findings come first
// in a watch; otherwise last, near the prompt.
func (p *reportPaint) text(r *report, width int, watched bool) string {
	rows, more := reportRows(r, watched)
	shown := p.table(rows, width, watched)
	if width > 0 && width < narrowest {
		shown = p.list(rows, width)
	}
	if more > 0 {
		shown += p.faint.Sprintf("and %d more: name a subject, or see -o json", more) + "\n"
	}
	parts := []string{p.summary(r, width), shown, p.findings(r, width)}
	if watched {
		parts[1], parts[2] = parts[2], parts[1]
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "\n")
}

func (p *reportPaint) summary(r *report, width int) string {
	text := ""
	if r.Backend == "stan" {
		text = fmt.Sprintf("NATS Streaming, cluster %s: %d %s, %d %s", console.Printable(r.Cluster), r.Total, console.Plural(r.Total, "channel"),
			r.Clients, console.Plural(r.Clients, "client"))
		if r.Dead > 0 {
			text += fmt.Sprintf(" (%d dead)", r.Dead)
		}
	} else {
		n := len(r.Channels)
		text = fmt.Sprintf("JetStream: %d %s", n, console.Plural(n, "stream"))
	}
	return p.head.Sprint(strings.Join(console.Wrap(text, width), "\n")) + "\n"
}

func (p *reportPaint) findings(r *report, width int) string {
	var b strings.Builder
	line := func(c *color.Color, text string) {
		for i, l := range console.Wrap(text, width-2) {
			b.WriteString(strings.Repeat("  ", min(i, 1)) + c.Sprint(l) + "\n")
		}
	}
	for i, j := range r.Findings {
		if i == mostJudgements {
			line(p.warn, fmt.Sprintf("and %d more: see -o json", len(r.Findings)-i))
			break
		}
		if j.Stuck {
			line(p.bad, "stuck: "+console.Printable(j.Text))
		} else {
			line(p.warn, "note: "+console.Printable(j.Text))
		}
		if j.Hint != "" {
			line(p.faint, "  hint: "+console.Printable(j.Hint))
		}
	}
	for _, n := range r.Notes {
		line(p.warn, "note: "+console.Printable(n))
	}
	if r.Healthy {
		line(p.good, "nothing is stuck")
	}
	return b.String()
}

// A reportRow is a line of the table.
type reportRow struct {
	channel                           string // "" if it is that of the row before
	events, span, who, delivered, lag string
	unacked, rate, state              string
	isMember, isStuck, isFirst        bool // isFirst: first of its channel
}

// reportRows returns the rows of a report, and the number of subscriptions left
// out.
func reportRows(r *report, rates bool) (rows []reportRow, more int) {
	for _, c := range r.Channels {
		head := reportRow{
			channel: console.Printable(c.Name), events: strconv.FormatUint(c.Events, 10), span: "-", isFirst: true,
		}
		if c.Events > 0 {
			head.span = fmt.Sprintf("%d-%d", c.First, c.Last)
		}
		if rates {
			head.rate = perSecond(c.Rate)
		}
		if len(rows) >= mostRows {
			more += max(1, len(c.Subscriptions))
			continue
		}
		if len(c.Subscriptions) == 0 {
			head.who, head.state = "nobody", "-"
			rows = append(rows, head)
		}
		for i, sub := range c.Subscriptions {
			if len(rows) >= mostRows {
				more++
				continue
			}
			row := reportRow{}
			if i == 0 {
				row = head
			}
			row.fill(sub, rates)
			rows = append(rows, row)
			for n, m := range sub.Members {
				if len(sub.Members) == 1 && sub.Group == "" && (sub.Consumer == "" || sub.Durable == "") {
					break // the row above names it
				}
				if n == mostMembers {
					rows = append(rows, reportRow{isMember: true, who: fmt.Sprintf("  and %d more", len(sub.Members)-n)})
					break
				}
				rows = append(rows, memberRow(m))
			}
		}
	}
	return rows, more
}

func (row *reportRow) fill(s *monitor.Subscription, rates bool) {
	row.who = console.Printable(strings.TrimPrefix(strings.TrimPrefix(s.Who(), "group "), "client "))
	switch {
	case s.Group != "" && s.Durable == "":
		row.who += " (not durable)"
	case s.Group != "" && s.Consumer == "" && s.Durable != s.Group:
		row.who += console.Printable(" (durable " + s.Durable + ")")
	}
	row.delivered, row.lag, row.unacked = strconv.FormatUint(s.Delivered, 10), strconv.FormatUint(s.Lag, 10), strconv.Itoa(s.Unacked)
	if rates {
		row.rate = perSecond(s.Rate)
		if s.Growth != 0 {
			row.lag += fmt.Sprintf(" (%+d)", s.Growth)
		}
	}
	var states []string
	switch {
	case s.Offline:
		states = append(states, "offline")
	case s.Consumer != "" && len(s.Members) == 0:
		states = append(states, "in use")
	case len(s.Members) > 1 || s.Group != "":
		states = append(states, fmt.Sprintf("%d %s", len(s.Members), console.Plural(len(s.Members), "member")))
	default:
		states = append(states, string(s.Members[0].State))
	}
	if s.Stalled {
		states = append(states, "stalled")
	}
	if s.Paused {
		states = append(states, "paused")
	}
	row.state, row.isStuck = strings.Join(states, ", "), s.Offline && s.Lag > 0 ||
		len(s.Members) == 1 && (s.Members[0].State == monitor.Dead || s.Members[0].State == monitor.Hung)
}

func memberRow(m monitor.Member) reportRow {
	row := reportRow{isMember: true, who: "  " + console.Printable(m.Client), unacked: strconv.Itoa(m.Unacked), state: string(m.State)}
	if m.Delivered > 0 {
		row.delivered = strconv.FormatUint(m.Delivered, 10)
	}
	if m.Stalled {
		row.state += ", stalled"
	}
	row.isStuck = m.State != monitor.Alive
	return row
}

func perSecond(rate float64) string {
	if rate == 0 {
		return ""
	}
	return fmt.Sprintf("+%.3g/s", rate)
}

// table formats the rows in columns.
func (p *reportPaint) table(rows []reportRow, width int, rates bool) string {
	if len(rows) == 0 {
		return ""
	}
	headers := []string{"CHANNEL", "EVENTS", "FIRST-LAST", "GROUP OR CLIENT", "SENT", "LAG", "UNACKED", "STATE"}
	if rates {
		headers = append(headers, "RATE")
	}
	right := []string{"EVENTS", "SENT", "LAG", "UNACKED"}
	t := table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderHeader(false).BorderColumn(false).Wrap(false).Headers(headers...)
	t.StyleFunc(func(row, col int) lipgloss.Style {
		style := lipgloss.NewStyle().PaddingRight(2)
		if slices.Contains(right, headers[col]) {
			style = style.Align(lipgloss.Right)
		}
		return style
	})
	for _, r := range rows {
		shade := fmt.Sprint
		switch {
		case r.isStuck:
			shade = p.bad.Sprint
		case r.isMember:
			shade = p.faint.Sprint
		}
		cells := []string{r.channel, r.events, r.span, shade(r.who), r.delivered, r.lag, r.unacked, shade(r.state)}
		if rates {
			cells = append(cells, r.rate)
		}
		t.Row(cells...)
	}
	drawn := t.String()
	if width > 0 && lipgloss.Width(drawn) > width {
		drawn = t.Width(width).String()
	}
	var b strings.Builder
	for line := range strings.Lines(drawn) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// list formats the rows for a terminal too narrow for the table, in one or two
// lines each.
func (p *reportPaint) list(rows []reportRow, width int) string {
	var b strings.Builder
	line := func(indent int, c *color.Color, text string) {
		for _, l := range console.Wrap(text, max(1, width-indent)) {
			b.WriteString(strings.Repeat(" ", indent) + c.Sprint(l) + "\n")
		}
	}
	for _, r := range rows {
		if r.isFirst {
			line(0, p.head, fmt.Sprintf("%s: events %s (%s)", r.channel, r.events, r.span))
		}
		c := p.faint
		if r.isStuck {
			c = p.bad
		}
		if r.isMember {
			text := strings.TrimSpace(r.who)
			if r.unacked != "" {
				text += fmt.Sprintf(": %s unacked, %s", r.unacked, r.state)
			}
			line(4, c, text)
		} else if r.lag == "" {
			line(2, c, "nobody listens")
		} else {
			line(2, c, fmt.Sprintf("%s: sent #%s, lag %s, %s unacked, %s", r.who, r.delivered, r.lag, r.unacked, r.state))
		}
	}
	return b.String()
}
