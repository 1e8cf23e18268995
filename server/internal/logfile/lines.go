package logfile

import "bytes"

// maxLine bounds what is held of a line whose end has not come; a longer one is passed on in parts.
const maxLine = 64 << 10

// Lines is a Writer that passes on whole lines, without their ends. It holds at most maxLine bytes. It is for one
// goroutine.
type Lines struct {
	emit func(line []byte) // may not keep the line
	rest []byte
}

// NewLines passes lines to a function.
func NewLines(emit func(line []byte)) *Lines { return &Lines{emit: emit} }

// Write never fails.
func (l *Lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			break
		}
		l.hold(p[:end])
		l.pass()
		p = p[end+1:]
	}
	l.hold(p)
	return n, nil
}

func (l *Lines) hold(p []byte) {
	for len(l.rest)+len(p) > maxLine {
		part := maxLine - len(l.rest)
		l.rest = append(l.rest, p[:part]...)
		p = p[part:]
		l.pass()
	}
	l.rest = append(l.rest, p...)
}

func (l *Lines) pass() {
	l.emit(bytes.TrimSuffix(l.rest, []byte("\r")))
	l.rest = l.rest[:0]
}

// Flush passes on a last line that has no end.
func (l *Lines) Flush() {
	if len(l.rest) > 0 {
		l.pass()
	}
}
