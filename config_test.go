package memwarden

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/settings"
)

func TestDefaultsAreValidAndDocumented(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Pressure.ElevatedRatio != 0.7 || c.Limit.Ratio != 0.9 || c.Sampling.IntervalSeconds != 1 || !c.Limit.Manage || c.GC.Tuner {
		t.Errorf("defaults: %+v", c)
	}
	for _, s := range ConfigSettings() {
		if s.Help == "" || s.Section == "" || !strings.HasPrefix(s.Name, settings.Prefix) {
			t.Errorf("%+v lacks something", s)
		}
	}
}

// TestEveryFieldHasASetting walks the JSON document, so that a field without a line in the table cannot be forgotten.
func TestEveryFieldHasASetting(t *testing.T) {
	text, err := json.Marshal(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	flat, err := flatten(text)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range configFields() {
		paths = append(paths, f.path)
	}
	slices.Sort(paths)
	if got := sortedKeys(flat); !slices.Equal(got, paths) {
		t.Errorf("the document has\n%v\nthe table has\n%v", got, paths)
	}
}

func TestSettingsReachTheirFields(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       func(Config) bool
	}{
		{"MEMWARDEN_SAMPLE_INTERVAL", "500ms", func(c Config) bool { return c.Sampling.IntervalSeconds == 0.5 }},
		{"MEMWARDEN_PRESSURE_ELEVATED", "60%", func(c Config) bool { return c.Pressure.ElevatedRatio == 0.6 }},
		{"MEMWARDEN_OFF_HEAP_RESERVE", "64MiB", func(c Config) bool { return c.Limit.OffHeapReserveBytes == 64<<20 }},
		{"MEMWARDEN_GC_TUNER", "on", func(c Config) bool { return c.GC.Tuner }},
		{"MEMWARDEN_GC_TUNER_MAX", "300", func(c Config) bool { return c.GC.TunerMaxPercent == 300 }},
	} {
		values, err := settings.Resolve(ConfigSettings(), settings.Layer{Source: "test", Lookup: lookup(c.name + "=" + c.text)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := ConfigFrom(values)
		if err != nil || !c.want(got) {
			t.Errorf("%s=%s: %+v, %v", c.name, c.text, got, err)
		}
	}
}

func TestMistakesAcrossSettingsNameTheSetting(t *testing.T) {
	values, err := settings.Resolve(ConfigSettings(), settings.Layer{Source: "environment", Lookup: lookup(
		"MEMWARDEN_PRESSURE_ELEVATED=0.85", "MEMWARDEN_GC_MIN_INTERVAL=10m", "MEMWARDEN_GC_TUNER_MIN=900", "MEMWARDEN_SAMPLE_INTERVAL=20s")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ConfigFrom(values)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"MEMWARDEN_PRESSURE_ELEVATED (environment)", "MEMWARDEN_GC_MIN_INTERVAL", "MEMWARDEN_GC_TUNER_MIN", "MEMWARDEN_SAMPLE_INTERVAL"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in:\n%v", name, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"pressure.high_ratio":       func(c *Config) { c.Pressure.HighRatio = math.NaN() },
		"pressure.hysteresis_ratio": func(c *Config) { c.Pressure.HysteresisRatio = 0.15 },
		"limit.memory_bytes":        func(c *Config) { c.Limit.MemoryBytes = -1 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// state returns a configuration on a store, with the default start-up values.
func state(store ConfigStore) *configState {
	return newConfigState(DefaultConfig(), store, func() time.Time { return time.Unix(1_800_000_000, 0) })
}

func patch(text string) ConfigPatch {
	return ConfigPatch{Patch: json.RawMessage(text), Actor: "admin", Peer: "192.0.2.1"}
}

func TestPatchIsStoredThenInForce(t *testing.T) {
	store := &mapStore{}
	s := state(store)
	d, err := s.patch(t.Context(), patch(`{"pressure":{"elevated_ratio":0.6, "high_ratio":0.75}}`))
	if err != nil {
		t.Fatal(err)
	}
	if d.Version != 1 || d.Config.Pressure.ElevatedRatio != 0.6 || !slices.Equal(d.Overridden, []string{"pressure.elevated_ratio", "pressure.high_ratio"}) {
		t.Errorf("%+v", d)
	}
	if len(store.changes) != 1 || store.changes[0].Actor != "admin" || store.changes[0].Peer != "192.0.2.1" ||
		string(store.changes[0].Patch) != `{"pressure":{"elevated_ratio":0.6,"high_ratio":0.75}}` {
		t.Errorf("audit: %+v", store.changes)
	}
	if d, err = s.patch(t.Context(), patch(`{"pressure":{"elevated_ratio":null},"gc":{"tuner":true}}`)); err != nil {
		t.Fatal(err)
	}
	if d.Version != 2 || d.Config.Pressure.ElevatedRatio != 0.7 || d.Config.Pressure.HighRatio != 0.75 || !d.Config.GC.Tuner {
		t.Errorf("null does not return a field to its start-up value: %+v", d)
	}
	again := state(store)
	if err := again.load(t.Context()); err != nil || again.document().Config != d.Config || again.document().Version != 2 {
		t.Errorf("after a restart: %+v, %v", again.document(), err)
	}
	if d, err = again.patch(t.Context(), patch(`{"pressure":null,"gc":null}`)); err != nil || d.Config != DefaultConfig() || len(d.Overridden) != 0 {
		t.Errorf("null for a group: %+v, %v", d, err)
	}
}

func TestPatchRefusesAndChangesNothing(t *testing.T) {
	version := func(v int64) *int64 { return &v }
	for name, c := range map[string]struct {
		patch  ConfigPatch
		is     error
		fields []string
	}{
		"not JSON":         {patch: patch(`{"pressure":`), is: ErrMalformedPatch},
		"empty":            {patch: patch(``), is: ErrMalformedPatch},
		"not an object":    {patch: patch(`[1]`), is: ErrMalformedPatch},
		"two documents":    {patch: patch(`{} {}`), is: ErrMalformedPatch},
		"null":             {patch: patch(`null`), is: ErrMalformedPatch},
		"unknown fields":   {patch: patch(`{"pressure":{"elevatd_ratio":0.5},"nothing":{"x":null},"gone":null,"flat":3,"empty":{},"gc":5}`), fields: []string{"empty", "flat", "gc", "gone", "nothing", "pressure.elevatd_ratio"}},
		"wrong kinds":      {patch: patch(`{"gc":{"tuner":"yes","tuner_min_percent":1.5},"pressure":{"high_ratio":"0.8"}}`), fields: []string{"gc.tuner", "gc.tuner_min_percent", "pressure.high_ratio"}},
		"out of range":     {patch: patch(`{"pressure":{"elevated_ratio":0.95},"sampling":{"interval_seconds":-1}}`), fields: []string{"pressure.elevated_ratio", "sampling.interval_seconds"}},
		"unknown and wide": {patch: patch(`{"x":{"y":1},"limit":{"ratio":7}}`), fields: []string{"limit.ratio", "x"}},
		"other version":    {patch: ConfigPatch{Patch: json.RawMessage(`{"gc":{"tuner":true}}`), IfVersion: version(4)}, is: ErrVersionConflict},
	} {
		store := &mapStore{}
		s := state(store)
		_, err := s.patch(t.Context(), c.patch)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, want %v", name, err, c.is)
		}
		if c.fields != nil && !slices.Equal(fieldsIn(err), c.fields) {
			t.Errorf("%s: fields %v, want %v", name, fieldsIn(err), c.fields)
		}
		if s.document().Config != DefaultConfig() || s.document().Version != 0 || len(store.changes) != 0 {
			t.Errorf("%s: something was changed: %+v", name, s.document())
		}
	}
}

func fieldsIn(err error) []string {
	var fields []string
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		var field *settings.FieldError
		if errors.As(one, &field) {
			fields = append(fields, field.Field)
		}
	}
	slices.Sort(fields)
	return fields
}

func TestAnEmptyPatchMakesNoVersion(t *testing.T) {
	store := &mapStore{}
	s := state(store)
	for _, text := range []string{`{}`, `{"gc":{}}`} {
		if d, err := s.patch(t.Context(), patch(text)); err != nil || d.Version != 0 || d.Config != DefaultConfig() {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
	if len(store.changes) != 0 {
		t.Errorf("audit: %+v", store.changes)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	store := &mapStore{}
	s := state(store)
	p := patch(`{"gc":{"tuner":true}}`)
	p.DryRun = true
	d, err := s.patch(t.Context(), p)
	if err != nil || !d.DryRun || !d.Config.GC.Tuner || d.Version != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if s.document().Config.GC.Tuner || len(store.changes) != 0 {
		t.Error("a dry run changed something")
	}
}

func TestPatchWhenTheStoreFails(t *testing.T) {
	store := &mapStore{}
	s := state(store)
	store.set(true, false)
	if _, err := s.patch(t.Context(), patch(`{"gc":{"tuner":true}}`)); !errors.Is(err, ErrStoreUnknown) || !errors.Is(err, errDown) {
		t.Errorf("%v, want that nobody knows", err)
	}
	if _, err := s.patch(t.Context(), patch(`{"gc":{"tuner":true}}`)); !errors.Is(err, ErrStore) {
		t.Errorf("%v, want that it was not stored", err)
	}
	if s.document().Config.GC.Tuner {
		t.Error("a change that is not stored is in force")
	}
	// The answer is lost, but the change is there.
	store.set(false, true)
	if d, err := s.patch(t.Context(), patch(`{"gc":{"tuner":true}}`)); err != nil || d.Version != 1 || !d.Config.GC.Tuner {
		t.Errorf("a stored change whose answer was lost: %+v, %v", d, err)
	}
	store.set(false, false)
	// The store refuses, and says that nothing was saved.
	refusing := state(refusingStore{store})
	if err := refusing.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := refusing.patch(t.Context(), patch(`{"gc":{"relief":false}}`)); !errors.Is(err, ErrStore) || !refusing.document().Config.GC.Relief {
		t.Errorf("%v", err)
	}
}

type refusingStore struct{ ConfigStore }

func (refusingStore) SaveConfig(context.Context, ConfigChange) error { return errDown }

func TestAnotherInstanceChangedTheSameStore(t *testing.T) {
	store := &mapStore{}
	one, other := state(store), state(store)
	if _, err := other.patch(t.Context(), patch(`{"gc":{"tuner":true}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := one.patch(t.Context(), patch(`{"gc":{"relief":false}}`)); !errors.Is(err, ErrVersionConflict) {
		t.Fatalf("%v, want a conflict", err)
	}
	if d := one.document(); d.Version != 1 || !d.Config.GC.Tuner || !d.Config.GC.Relief {
		t.Errorf("after the conflict: %+v, want what the other has stored", d)
	}
	if d, err := one.patch(t.Context(), patch(`{"gc":{"relief":false}}`)); err != nil || d.Version != 2 {
		t.Errorf("once more: %+v, %v", d, err)
	}
}

func TestStoredChangesThatDoNotFitAnyMore(t *testing.T) {
	store := &mapStore{}
	if _, err := state(store).patch(t.Context(), patch(`{"pressure":{"high_ratio":0.75}}`)); err != nil {
		t.Fatal(err)
	}
	base := DefaultConfig()
	base.Pressure.ElevatedRatio = 0.76
	s := newConfigState(base, store, time.Now)
	if err := s.load(t.Context()); err == nil || !strings.Contains(err.Error(), "version 1") || !strings.Contains(err.Error(), "pressure.elevated_ratio") {
		t.Errorf("%v", err)
	}
	if s.document().Config != base {
		t.Error("the start-up values are not in force")
	}
	if d, err := s.patch(t.Context(), patch(`{"gc":{"tuner":true}}`)); err != nil || d.Version != 2 || d.Config.Pressure.HighRatio != 0.8 {
		t.Errorf("a change after that: %+v, %v", d, err)
	}
}

func TestPatchReachesTheRunningWarden(t *testing.T) {
	w := begin(t, Options{})
	events := subscribe(t, w)
	defer events.Close()
	if _, err := w.PatchConfig(t.Context(), patch(`{"pressure":{"fall_dwell_seconds":5},"sampling":{"interval_seconds":0.2}}`)); err != nil {
		t.Fatal(err)
	}
	for e := range events.Events {
		if e.Kind == EventConfig {
			break
		}
	}
	for e := range events.Events { // the tick that the change brings forward
		if e.Kind == EventSample {
			break
		}
	}
	changes, err := w.ConfigChanges(t.Context(), 10)
	if err != nil || len(changes) != 1 || w.Config().Version != 1 {
		t.Errorf("%+v, %v", changes, err)
	}
	if _, err := w.PatchConfig(t.Context(), ConfigPatch{Patch: json.RawMessage(`{"gc":{"tuner":true}}`), DryRun: true}); err != nil {
		t.Error(err)
	}
	if _, err := w.PatchConfig(t.Context(), patch(`{`)); err == nil {
		t.Error("accepted")
	}
	w.config.store = &mapStore{down: true}
	if _, err := w.ConfigChanges(t.Context(), 10); !errors.Is(err, errDown) {
		t.Errorf("%v", err)
	}
}

func TestChangesWithoutAStoreAreBounded(t *testing.T) {
	s := state(&memoryConfigStore{})
	for i := range maxMemoryChanges + 20 {
		if _, err := s.patch(t.Context(), patch([]string{`{"gc":{"tuner":true}}`, `{"gc":{"tuner":false}}`}[i%2])); err != nil {
			t.Fatal(err)
		}
	}
	changes, err := s.store.ConfigChanges(t.Context(), 1000)
	if err != nil || len(changes) != maxMemoryChanges || changes[0].Version != maxMemoryChanges+20 {
		t.Errorf("%d changes kept, newest %d, %v", len(changes), changes[0].Version, err)
	}
	if newest, ok, err := s.store.LatestConfig(t.Context()); err != nil || !ok || newest.Version != changes[0].Version {
		t.Errorf("%+v, %v, %v", newest, ok, err)
	}
}

func FuzzPatch(f *testing.F) {
	for _, text := range []string{`{}`, `{"gc":{"tuner":true}}`, `{"gc":null}`, `{"pressure":{"high_ratio":1e999}}`, `[]`, `{"a":{"b":{"c":1}}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := state(&memoryConfigStore{})
		d, err := s.patch(context.Background(), ConfigPatch{Patch: text})
		if err != nil {
			if s.document().Version != 0 || s.document().Config != DefaultConfig() {
				t.Errorf("refused with %v, and changed", err)
			}
			return
		}
		if err := d.Config.Validate(); err != nil {
			t.Errorf("%q put an invalid configuration in force: %v", text, err)
		}
		again := newConfigState(DefaultConfig(), s.store, time.Now)
		if err := again.load(context.Background()); err != nil || again.document().Config != d.Config {
			t.Errorf("%q does not survive a restart: %v", text, err)
		}
	})
}

// silentStore answers when it is told to.
type silentStore struct {
	mapStore
	asked, answer chan struct{}
}

func (s *silentStore) SaveConfig(ctx context.Context, change ConfigChange) error {
	s.asked <- struct{}{}
	<-s.answer
	return s.mapStore.SaveConfig(ctx, change)
}

func TestASilentStoreHoldsUpNobodyElse(t *testing.T) {
	store := &silentStore{asked: make(chan struct{}), answer: make(chan struct{})}
	s := state(store)
	patched := make(chan error)
	go func() {
		_, err := s.patch(context.Background(), patch(`{"gc":{"tuner":true}}`))
		patched <- err
	}()
	<-store.asked
	if s.config().GC.Tuner || s.document().Version != 0 {
		t.Error("a change is in force that is not stored yet")
	}
	close(store.answer)
	if err := <-patched; err != nil || !s.config().GC.Tuner {
		t.Errorf("%v, %+v", err, s.document())
	}
}
