package worker

// A queue holds events in the order in which they are to be run: those that came
// earlier, and had to wait, before the others.
type queue struct{ urgent, others line }

func (q *queue) empty() bool { return q.urgent.empty() && q.others.empty() }

// push adds an event at the end.
func (q *queue) push(j *job) { q.others.push(j) }

// urge adds one that had to wait.
func (q *queue) urge(j *job) { q.urgent.push(j) }

// pop takes the first; there must be one.
func (q *queue) pop() *job {
	if !q.urgent.empty() {
		return q.urgent.pop()
	}
	return q.others.pop()
}

// A line is first in, first out.
type line struct {
	jobs  []*job
	first int
}

func (l *line) empty() bool { return l.first == len(l.jobs) }

func (l *line) push(j *job) {
	if l.first > len(l.jobs)/2 { // what was taken is more than what is left
		n := copy(l.jobs, l.jobs[l.first:])
		clear(l.jobs[n:])
		l.jobs, l.first = l.jobs[:n], 0
	}
	l.jobs = append(l.jobs, j)
}

func (l *line) pop() *job {
	j := l.jobs[l.first]
	l.jobs[l.first] = nil
	if l.first++; l.empty() {
		l.jobs, l.first = l.jobs[:0], 0
	}
	return j
}
