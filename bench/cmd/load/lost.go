package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"

	"github.com/memwarden/memwarden/bench/internal/service"
)

// kept is how many of the newest reports the service keeps.
const kept = 1000

// accepted is a report that the service has said to have: its number, and what the script wrote into it.
type accepted struct {
	id  int64
	key string
}

// tally is what became of the reports.
type tally struct{ accepted, looked, lost int }

// countLost starts the service again and looks for the newest reports among those it has accepted.
func countLost(ctx context.Context, console string, place enclosure, file, dir string) (t tally, err error) {
	text, err := os.ReadFile(console)
	if err != nil {
		return t, err
	}
	all, err := parseAccepted(text)
	if err != nil {
		return t, fmt.Errorf("%s: %w", console, err)
	}
	t.accepted = len(all)
	s, err := service.StartWith(ctx, place.by, file, dir, place.settings...)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	there, err := list(ctx, s)
	if err != nil {
		return t, err
	}
	newest := stillKept(all, there)
	for _, one := range newest {
		if !bytes.Contains(there[one.id], []byte(`"key":"`+one.key+`"`)) {
			t.lost++
		}
	}
	t.looked = len(newest)
	return t, nil
}

// stillKept returns the accepted reports that the service has to have. It keeps so many and no more, of all that it has
// stored: those, too, of which a client that was stopped did not hear, so that they make room for others unseen.
func stillKept(all []accepted, there map[int64]json.RawMessage) []accepted {
	all = all[max(0, len(all)-kept):]
	if len(there) < kept {
		return all
	}
	oldest := slices.Min(slices.Collect(maps.Keys(there)))
	return slices.DeleteFunc(slices.Clone(all), func(one accepted) bool { return one.id < oldest })
}

// parseAccepted reads what the script wrote to its console, and returns the reports in the order of their numbers.
func parseAccepted(console []byte) ([]accepted, error) {
	var all []accepted
	for lines := bufio.NewScanner(bytes.NewReader(console)); lines.Scan(); {
		var one accepted
		if !bytes.HasPrefix(lines.Bytes(), []byte("report ")) {
			continue // what it says of failures
		}
		if _, err := fmt.Sscanf(lines.Text(), "report %d %s", &one.id, &one.key); err != nil {
			return nil, fmt.Errorf("line %.100q: %w", lines.Text(), err)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b accepted) int { return int(a.id - b.id) })
	return all, nil
}

// list reads all reports that are kept, by their numbers.
func list(ctx context.Context, s *service.Service) (map[int64]json.RawMessage, error) {
	const page = 100
	all := make(map[int64]json.RawMessage)
	for before := int64(0); ; {
		var answer struct {
			Reports []struct {
				ID     int64
				Report json.RawMessage
			}
		}
		path := fmt.Sprintf("/api/monitoring/frontend/reports?limit=%d", page)
		if before > 0 {
			path += fmt.Sprintf("&before=%d", before)
		}
		if err := s.Read(ctx, http.MethodGet, path, "", &answer); err != nil {
			return nil, err
		}
		for _, one := range answer.Reports {
			all[one.ID] = one.Report
			before = one.ID
		}
		if len(answer.Reports) < page {
			return all, nil
		}
	}
}
