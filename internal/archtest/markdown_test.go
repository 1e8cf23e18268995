package archtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// document is what the rules look at in a Markdown file.
type document struct {
	links   []string        // targets, as written
	anchors map[string]bool // of the headings and of what has an id
	code    []string        // lines in fences, and code spans
}

var (
	fenceLine     = regexp.MustCompile("^ {0,3}(```+|~~~+)")
	headingLine   = regexp.MustCompile(`^ {0,3}#{1,6}[ \t]+(.*?)[ \t#]*$`)
	codeSpan      = regexp.MustCompile("`+[^`]+`+")
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?[^)]*\)`)
	referenceLink = regexp.MustCompile(`^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)`)
	attributeLink = regexp.MustCompile(`\b(?:href|src|srcset)="([^"]+)"`)
	attributeID   = regexp.MustCompile(`\b(?:id|name)="([^"]+)"`)
	textOfLink    = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// readMarkdown finds links, anchors and code as GitHub shows them.
func readMarkdown(text string) document {
	d := document{anchors: make(map[string]bool)}
	repeated := make(map[string]int)
	fence := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := fenceLine.FindStringSubmatch(line); m != nil && (fence == "" || strings.HasPrefix(m[1], fence)) {
			if fence == "" {
				fence = m[1]
			} else {
				fence = ""
			}
			continue
		}
		if fence != "" {
			d.code = append(d.code, line)
			continue
		}
		if m := headingLine.FindStringSubmatch(line); m != nil {
			slug := slugOf(m[1])
			if n := repeated[slug]; n > 0 {
				d.anchors[fmt.Sprintf("%s-%d", slug, n)] = true
			} else {
				d.anchors[slug] = true
			}
			repeated[slug]++
		}
		for _, span := range codeSpan.FindAllString(line, -1) {
			d.code = append(d.code, strings.Trim(span, "`"))
		}
		line = codeSpan.ReplaceAllString(line, "")
		for _, pattern := range []*regexp.Regexp{inlineLink, referenceLink, attributeLink} {
			for _, m := range pattern.FindAllStringSubmatch(line, -1) {
				d.links = append(d.links, m[1])
			}
		}
		for _, m := range attributeID.FindAllStringSubmatch(line, -1) {
			d.anchors[m[1]] = true
		}
	}
	return d
}

// slugOf is the anchor that GitHub gives a heading.
func slugOf(heading string) string {
	heading = textOfLink.ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, strings.TrimSpace(heading))
}

func TestReadMarkdown(t *testing.T) {
	d := readMarkdown("# Title: `a_b` & [c](d.md)\n\n## Twice\n## Twice\n" +
		"See [x](y.md#z \"t\"), ![p](q.png) [![r](s.svg)](t.html) `[no](link.md)` and `make one`.\n" +
		"[ref]: ../u.md\n<a id=\"here\" href=\"v.md\">v</a>\n```sh\nmake two # [no](link.md)\n## No\n```\n")
	if want := []string{"d.md", "y.md#z", "q.png", "s.svg", "t.html", "../u.md", "v.md"}; !slices.Equal(d.links, want) {
		t.Errorf("links %q, want %q", d.links, want)
	}
	for _, anchor := range []string{"title-a_b--c", "twice", "twice-1", "here"} {
		if !d.anchors[anchor] {
			t.Errorf("no anchor %q in %v", anchor, d.anchors)
		}
	}
	if len(d.anchors) != 4 {
		t.Errorf("anchors %v, want 4", d.anchors)
	}
	if !slices.Contains(d.code, "make one") || !slices.Contains(d.code, "make two # [no](link.md)") {
		t.Errorf("code %q misses a command", d.code)
	}
}
