// Command report puts a section, whose Markdown it reads from standard input, into the performance audit report, with
// the date, the machine and the commit (see package report):
//
//	go -C bench run ./cmd/report -section chaos -title "Faults and what came of them" <table.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/memwarden/memwarden/bench/report"
)

// most is how long the Markdown of a section may be.
const most = 4 << 20

func main() {
	var s report.Section
	var repository, file string
	flag.StringVar(&s.Name, "section", "", "`name` of the section, which replaces an earlier one of that name")
	flag.StringVar(&s.Title, "title", "", "its heading")
	flag.StringVar(&repository, "repository", "..", "a directory of the repository")
	flag.StringVar(&file, "o", filepath.FromSlash("../"+report.File), "the report's `file`")
	flag.Parse()
	s.Origin = report.Origin(context.Background(), "/", repository, time.Now())
	if err := run(os.Stdin, file, s); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, file string, s report.Section) error {
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return err
	}
	if len(text) == 0 || len(text) > most {
		return errors.New("want the section's Markdown on standard input, 4 MiB at most")
	}
	s.Body = string(text)
	return report.Write(file, s)
}
