package memwarden

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/memwarden/memwarden/settings"
)

// ConfigPatch asks for a change of configuration.
type ConfigPatch struct {
	// Patch is a JSON merge patch (RFC 7396) of a Config: fields that are absent stay, null returns a field to its
	// start-up value.
	Patch json.RawMessage
	// IfVersion is the version that the change was made against; nil: whichever is newest.
	IfVersion *int64
	Actor     string // who asks, for the audit log
	Peer      string // from where
	DryRun    bool   // check and answer, change nothing
}

// ConfigChange is one version of the configuration: an entry of the audit log.
type ConfigChange struct {
	Version   int64           `json:"version"`
	At        time.Time       `json:"at"`
	Actor     string          `json:"actor"`
	Peer      string          `json:"peer,omitzero"`
	Patch     json.RawMessage `json:"patch"`     // what was asked for
	Overrides json.RawMessage `json:"overrides"` // all that differs from the start-up values after the change
}

// ConfigDocument is the configuration in force.
type ConfigDocument struct {
	Version   int64     `json:"version"`             // 0: never changed
	ChangedAt time.Time `json:"changed_at,omitzero"` // of this version
	Config    Config    `json:"config"`
	// Overridden are the fields that were changed from their start-up values.
	Overridden []string `json:"overridden"`
	// DryRun marks an answer to a change that was only checked.
	DryRun bool `json:"dry_run,omitzero"`
}

// Errors of PatchConfig, besides a joined list of *settings.FieldError.
var (
	// ErrMalformedPatch means that the patch is not a JSON object.
	ErrMalformedPatch = errors.New("malformed patch")
	// ErrVersionConflict means that somebody else changed the configuration first.
	ErrVersionConflict = errors.New("the configuration has changed meanwhile")
	// ErrStore means that the change could not be stored; nothing was changed.
	ErrStore = errors.New("the change could not be stored and was not made")
	// ErrStoreUnknown means that the store failed so that nobody knows whether it has the change. It is not in force;
	// the next change finds out.
	ErrStoreUnknown = errors.New("it is not known whether the change was stored; it is not in force")
)

// configState is the configuration in force and the way to change it.
type configState struct {
	base  Config // start-up values
	store ConfigStore
	now   func() time.Time

	// writing is held through a whole change, the store's answer included, mu for moments: a store that is silent must
	// not stop the sampling, which asks for the configuration at each tick. The fields below change under both locks,
	// so that either is enough to read them.
	writing sync.Mutex
	unsure  bool // the store may have a newer version; only with writing

	mu        sync.Mutex
	current   Config
	newest    ConfigChange // zero before the first change
	overrides map[string]json.RawMessage
}

func newConfigState(base Config, store ConfigStore, now func() time.Time) *configState {
	return &configState{base: base, current: base, store: store, now: now}
}

// load takes over the stored overrides. If they do not fit the start-up values any more, the start-up values stay in
// force and the error says why.
func (s *configState) load(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.loadWriting(ctx)
}

// loadWriting is load for who holds writing.
func (s *configState) loadWriting(ctx context.Context) error {
	newest, ok, err := s.store.LatestConfig(ctx)
	if err != nil {
		return fmt.Errorf("load stored configuration: %w", err)
	}
	s.unsure = false
	if !ok {
		return nil
	}
	overrides, err := flatten(newest.Overrides)
	if err == nil {
		var c Config
		if c, err = s.merge(overrides); err == nil {
			s.commit(c, newest, overrides)
			return nil
		}
	}
	s.commit(s.current, newest, s.overrides)
	return fmt.Errorf("stored configuration version %d of %s does not fit the start-up values, which stay in force: %w",
		newest.Version, newest.At.Format(time.RFC3339), err)
}

// commit puts a configuration in force. The caller holds writing.
func (s *configState) commit(c Config, newest ConfigChange, overrides map[string]json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.newest, s.overrides = c, newest, overrides
}

func (s *configState) config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *configState) document() ConfigDocument {
	s.mu.Lock()
	defer s.mu.Unlock()
	return documentOf(s.current, s.newest, s.overrides)
}

func documentOf(c Config, change ConfigChange, overrides map[string]json.RawMessage) ConfigDocument {
	d := ConfigDocument{Version: change.Version, ChangedAt: change.At, Config: c, Overridden: []string{}}
	for _, f := range configFields() {
		if _, ok := overrides[f.path]; ok {
			d.Overridden = append(d.Overridden, f.path)
		}
	}
	return d
}

// patch checks a change, stores it, and only then puts it in force.
func (s *configState) patch(ctx context.Context, p ConfigPatch) (ConfigDocument, error) {
	asked, err := flatten(p.Patch)
	if err != nil {
		return ConfigDocument{}, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.unsure {
		if err := s.loadWriting(ctx); err != nil {
			return ConfigDocument{}, fmt.Errorf("%w: %w", ErrStore, err)
		}
	}
	if p.IfVersion != nil && *p.IfVersion != s.newest.Version {
		return ConfigDocument{}, fmt.Errorf("%w: version is %d, the change was made against %d", ErrVersionConflict, s.newest.Version, *p.IfVersion)
	}
	overrides := s.override(asked)
	c, err := s.merge(overrides)
	if err != nil {
		return ConfigDocument{}, err
	}
	if len(asked) == 0 { // nothing to store, and nothing for the audit log
		d := documentOf(s.current, s.newest, s.overrides)
		d.DryRun = p.DryRun
		return d, nil
	}
	if p.DryRun {
		d := documentOf(c, s.newest, overrides)
		d.DryRun = true
		return d, nil
	}
	change := ConfigChange{
		Version: s.newest.Version + 1, At: s.now().UTC().Truncate(time.Millisecond), Actor: p.Actor, Peer: p.Peer,
		Patch: compact(p.Patch), Overrides: nest(overrides),
	}
	if err := s.save(ctx, change); err != nil {
		return ConfigDocument{}, err
	}
	s.commit(c, change, overrides)
	return documentOf(c, change, overrides), nil
}

// override lays what was asked for over the overrides in force; null takes one away.
func (s *configState) override(asked map[string]json.RawMessage) map[string]json.RawMessage {
	overrides := map[string]json.RawMessage{}
	maps.Copy(overrides, s.overrides)
	for path, value := range asked {
		known := slices.ContainsFunc(configFields(), func(f configField) bool { return f.path == path })
		if known && string(value) == "null" {
			delete(overrides, path)
		} else {
			overrides[path] = value // an unknown one is refused by merge
		}
	}
	return overrides
}

// save stores a change. When the store fails it is asked what it has, because a connection can be lost after the
// change was made final.
func (s *configState) save(ctx context.Context, change ConfigChange) error {
	failed := s.store.SaveConfig(ctx, change)
	if failed == nil {
		return nil
	}
	newest, _, err := s.store.LatestConfig(ctx)
	switch {
	case err != nil:
		s.unsure = true
		return fmt.Errorf("%w: %w", ErrStoreUnknown, failed)
	case newest.Version < change.Version:
		return fmt.Errorf("%w: %w", ErrStore, failed)
	case newest.Version == change.Version && newest.At.Equal(change.At) && newest.Actor == change.Actor && newest.Peer == change.Peer &&
		bytes.Equal(compact(newest.Patch), change.Patch):
		return nil
	}
	// Somebody else changed the same store, such as another instance of the service.
	return errors.Join(fmt.Errorf("%w: the store has version %d", ErrVersionConflict, newest.Version), s.loadWriting(ctx))
}

// merge lays overrides over the start-up values and validates the result.
func (s *configState) merge(overrides map[string]json.RawMessage) (Config, error) {
	c := s.base
	var mistakes []error
	known := map[string]configField{}
	for _, f := range configFields() {
		known[f.path] = f
	}
	for _, path := range sortedKeys(overrides) {
		f, ok := known[path]
		if !ok {
			message := "unknown field"
			if len(fieldsOf(path)) > 0 {
				message = "want an object with fields"
			}
			mistakes = append(mistakes, &settings.FieldError{Field: path, Message: message})
			continue
		}
		at := f.at(&c)
		if err := json.Unmarshal(overrides[path], at); err != nil {
			mistakes = append(mistakes, &settings.FieldError{Field: path, Message: "want " + jsonKind(at)})
		}
	}
	for _, mistake := range c.mistakes() {
		mistakes = append(mistakes, mistake)
	}
	return c, errors.Join(mistakes...)
}

func jsonKind(at any) string {
	switch at.(type) {
	case *bool:
		return "true or false"
	case *int64:
		return "a whole number"
	default:
		return "a number"
	}
}

// flatten turns {"a":{"b":1}} into {"a.b":1}. A Config has two levels. What is not a group of fields keeps its own name,
// which merge refuses.
func flatten(document json.RawMessage) (map[string]json.RawMessage, error) {
	var groups map[string]json.RawMessage
	err := decodeOne(document, &groups)
	var kind *json.UnmarshalTypeError // its text names Go's types
	if errors.As(err, &kind) || err == nil && groups == nil {
		err = errors.New("want a JSON object")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformedPatch, err)
	}
	flat := map[string]json.RawMessage{}
	for group, value := range groups {
		paths := fieldsOf(group)
		var fields map[string]json.RawMessage
		switch err := json.Unmarshal(value, &fields); {
		case len(paths) == 0, err != nil:
			flat[group] = value
		case fields == nil: // null: the whole group returns to its start-up values
			for _, path := range paths {
				flat[path] = value
			}
		default:
			for name, value := range fields {
				flat[group+"."+name] = value
			}
		}
	}
	return flat, nil
}

func fieldsOf(group string) []string {
	var paths []string
	for _, f := range configFields() {
		if strings.HasPrefix(f.path, group+".") {
			paths = append(paths, f.path)
		}
	}
	return paths
}

// decodeOne decodes exactly one JSON value.
func decodeOne(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("it is empty")
		}
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

func nest(flat map[string]json.RawMessage) json.RawMessage {
	groups := map[string]map[string]json.RawMessage{}
	for path, value := range flat {
		group, name, _ := strings.Cut(path, ".")
		if groups[group] == nil {
			groups[group] = map[string]json.RawMessage{}
		}
		groups[group][name] = value
	}
	document, err := json.Marshal(groups)
	if err != nil {
		panic(err) // the values were decoded from valid JSON
	}
	return document
}

func compact(document json.RawMessage) json.RawMessage {
	var out bytes.Buffer
	if err := json.Compact(&out, document); err != nil {
		panic(err) // flatten has decoded it
	}
	return out.Bytes()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
