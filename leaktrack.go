package memwarden

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/leak/track"
)

// KindRetained is the kind of leak reports of objects that were released and are still held; see Track.
const KindRetained = "retained"

// ErrEndlessContext refuses an object that would never be released.
var ErrEndlessContext = errors.New("the context is never done, so that the object would never be released")

// Track follows an object that should become garbage once Handle.Release is called: one that is still alive
// LeakConfig.TrackCollections collections later is reported as a leak of kind KindRetained, once with all of its owner
// and type that are, and with what holds them where LeakConfig.Snapshots allows it. Objects that are not released are
// only counted.
//
//	h, err := memwarden.Track(w, session, "sessions")
//	…
//	h.Release() // the session is closed: nothing may hold it any more
//
// The owner is the part of the program that the object belongs to; there must be few of them. What can be tracked, the
// errors, and what it costs: package track. The handle is nil after an error, and to release it does nothing, so that a
// program goes on with what could not be tracked. ErrRemote: another process is watched.
func Track[T any](w *Warden, object *T, owner string) (*track.Handle, error) {
	if w.tracker == nil {
		return nil, ErrRemote
	}
	return track.Track(w.tracker, object, owner)
}

// TrackContext tracks an object as Track does, and releases it when the scope ends that the context carries
// (TrackScope), or else when the context is done, unless Handle.Release is called before. ErrEndlessContext: neither
// ever comes.
//
// What the values of a context lead to is held by it until it is done, and the same goes for the scope's.
func TrackContext[T any](ctx context.Context, w *Warden, object *T, owner string) (*track.Handle, error) {
	if scope, ok := ctx.Value(scopeKey{}).(context.Context); ok {
		ctx = scope
	}
	if ctx.Done() == nil {
		return nil, ErrEndlessContext
	}
	h, err := Track(w, object, owner)
	if err == nil {
		h.ReleaseAfter(ctx)
	}
	return h, err
}

// TrackScope returns a context with a scope of its own: what TrackContext tracks with it, or with one that is derived
// from it, is released when end is called. That differs from the context's own end where work goes on after it, as a
// handler's does whose client is gone. end must be called; further calls do nothing.
func TrackScope(ctx context.Context) (scoped context.Context, end context.CancelFunc) {
	scope, end := context.WithCancel(context.Background())
	return context.WithValue(ctx, scopeKey{}, scope), end
}

type scopeKey struct{}

// Tracked tells how many objects are tracked, by owner and type; none where another process is watched.
func (w *Warden) Tracked() []track.Tracked {
	if w.tracker == nil {
		return []track.Tracked{}
	}
	return w.tracker.Tracked()
}

// buildTracker makes what follows objects, and shows it among the limits.
func (w *Warden) buildTracker() (err error) {
	if w.Remote() {
		return nil
	}
	if w.tracker, err = track.New(track.Options{MaxObjects: w.o.MaxTracked}); err != nil {
		return err
	}
	_, err = w.owners.register(w.tracker)
	return err
}

// ageShare is which part of the shortest window an object must have stayed after its release to be told of: half a
// minute of 20.
const ageShare = 40

// trackCase is what is overdue, to be looked into.
type trackCase struct {
	overdue   []track.Overdue
	patience  track.Patience
	snapshots bool
}

// lookAtTracked finds the objects that are overdue and has them looked into.
func (l *leakWatch) lookAtTracked(now time.Time) {
	w := l.w
	if n := w.tracker.Refused(); n > 0 && n >= 2*l.refused {
		l.refused = n
		w.o.Logger.Warn("memory tracking: objects were refused (Options.MaxTracked)", "refused", n, "tracked", w.tracker.Usage().Entries)
	}
	c := trackCase{snapshots: l.config.Snapshots, patience: track.Patience{
		Collections: int(l.config.TrackCollections), Age: seconds(l.config.WindowSeconds) / ageShare,
	}}
	if c.patience.Collections > 0 {
		c.overdue = w.tracker.Look(now, l.cycles, c.patience)
	}
	if len(c.overdue) == 0 && !l.overdue {
		return
	}
	l.overdue = len(c.overdue) > 0
	select { // what was seen last is worth more than what waits
	case <-w.trackCases:
	default:
	}
	w.trackCases <- c // only the watcher sends: there is room
}

// toldTracked is what was told of the objects of an owner and type that are overdue.
type toldTracked struct {
	caseName string
	count    int
	verdict  leak.Verdict
	held     *retain.Held // nil: it is not known
	evidence []string
}

// tracked is an owner and a type of which there is something to tell.
type tracked struct {
	track.Overdue
	told *toldTracked
}

// trackKey is an owner and a type.
type trackKey struct{ owner, typ string }

// maxTrackNews is of how many owners and types is told at once; the others come with the next look.
const maxTrackNews = 16

// lookTracked tells of objects that are overdue: when there are some of an owner and type, when they have stayed twice
// as long, and when there are twice as many as were told.
func (i *investigator) lookTracked(ctx context.Context, c trackCase) {
	i.forgetTracked(c.overdue)
	var news []tracked
	for _, o := range c.overdue {
		key, verdict := trackKey{o.Owner, o.Type}, leak.Suspect
		if o.Collections >= 2*c.patience.Collections && o.Age >= 2*c.patience.Age {
			verdict = leak.Confirmed
		}
		told := i.tracked[key]
		if told == nil {
			told = &toldTracked{caseName: trackCaseOf(o)}
		}
		i.w.openLeaks.see(told.caseName, i.w.o.Now())
		if verdict <= told.verdict && o.Count < 2*told.count || len(news) == maxTrackNews {
			continue
		}
		told.verdict, told.count = max(verdict, told.verdict), o.Count
		i.tracked[key] = told
		if !i.quiet(ctx, i.trackReport(tracked{o, told})) {
			news = append(news, tracked{o, told})
		}
	}
	if len(news) == 0 {
		return
	}
	i.findHolders(ctx, news, c.snapshots)
	for _, n := range news {
		if ctx.Err() != nil {
			return
		}
		if n.going() {
			i.w.o.Logger.Info("memory: released objects went late", "owner", n.Owner, "type", n.Type, "count", n.Count)
			continue
		}
		i.w.reportHeld(ctx, i.trackReport(n))
	}
}

// going reports whether the objects are gone by now, or nothing held them in the snapshot. Those that nothing holds and
// that stay all the same are told of when they are confirmed.
func (n tracked) going() bool {
	if held := n.told.held; held != nil && held.Reached == 0 && n.told.verdict < leak.Confirmed {
		return true
	}
	return !slices.ContainsFunc(n.Objects, func(h *track.Handle) bool { return h.Address() != 0 })
}

// forgetTracked forgets what was told of objects that are gone.
func (i *investigator) forgetTracked(overdue []track.Overdue) {
	still := map[trackKey]bool{}
	for _, o := range overdue {
		still[trackKey{o.Owner, o.Type}] = true
	}
	for key, told := range i.tracked {
		if !still[key] {
			delete(i.tracked, key)
			i.w.quietLeaks.remove(told.caseName)
			i.w.openLeaks.over(told.caseName)
			i.w.o.Logger.Info("memory leak is over", "kind", KindRetained, "owner", key.owner, "type", key.typ)
		}
	}
}

// findHolders takes one snapshot and finds in it what holds the objects of which that is not known yet, or is known of
// fewer than there are by now. What it cannot do becomes evidence.
func (i *investigator) findHolders(ctx context.Context, news []tracked, allowed bool) {
	var unknown []tracked
	for _, n := range news {
		if held := n.told.held; held == nil || held.Reached == 0 || held.Found < uint64(len(n.Objects)) {
			unknown = append(unknown, n)
		}
	}
	if len(unknown) == 0 {
		return
	}
	var list []retain.Held
	evidence := []string{"no snapshot: none is allowed (MEMWARDEN_LEAK_SNAPSHOTS)"}
	if allowed {
		id, found, err := i.holders(ctx, unknown)
		list, evidence = found, snapshotEvidence(ctx, id, err)
	}
	for k, n := range unknown {
		switch told := n.told; {
		case k < len(list):
			told.held, told.evidence = &list[k], evidence
		case told.held == nil || told.held.Reached == 0:
			told.held, told.evidence = nil, evidence
		default: // what was found of fewer remains true of those
			told.evidence = append(told.evidence[:1:1], evidence...)
		}
	}
}

// holders takes a snapshot and tells how the objects are held. The collector does not move them: what is alive after
// the snapshot was, in the snapshot, where it was before.
func (i *investigator) holders(ctx context.Context, asked []tracked) (id string, held []retain.Held, err error) {
	kept, err := i.w.Snapshots()
	if err != nil {
		return "", nil, err
	}
	addresses := make([][]uint64, len(asked))
	for k, a := range asked {
		for _, h := range a.Objects {
			addresses[k] = append(addresses[k], uint64(h.Address()))
		}
	}
	record, err := i.patiently(ctx, i.w.StoreSnapshot)
	if err != nil {
		return "", nil, err
	}
	for k, a := range asked {
		alive := addresses[k][:0]
		for n, h := range a.Objects {
			if address := uint64(h.Address()); address != 0 && address == addresses[k][n] {
				alive = append(alive, address)
			}
		}
		addresses[k] = alive
	}
	ctx, cancel := context.WithTimeout(ctx, analysisPatience)
	defer cancel()
	_, err = i.patiently(ctx, func(ctx context.Context) (archive.Record, error) {
		_, held, err = i.w.analyzeNow(ctx, kept, record, addresses)
		return record, err
	})
	return record.ID, held, err
}

// trackCaseOf is the case of objects that are overdue.
func trackCaseOf(o track.Overdue) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(o.Owner + "\x00" + o.Type)) // it never fails
	return fmt.Sprintf("%s-%x-%d", KindRetained, hash.Sum64(), o.Since.Unix())
}

// trackReport is the report of objects that are overdue, as far as it is known what holds them.
func (i *investigator) trackReport(n tracked) LeakReport {
	r := LeakReport{
		Kind: KindRetained, Owner: n.Owner, Type: n.Type, Status: n.told.verdict.String(), Case: n.told.caseName,
		Signature: KindRetained + " " + n.Owner + " " + n.Type, FirstSeen: n.Since, LastSeen: i.w.o.Now(),
		AllocStack: trackers(n.Site), Evidence: n.told.evidence,
	}
	by := ""
	switch held := n.told.held; {
	case held == nil:
	case held.Reached == 0:
		by = "; the snapshot shows nothing that holds them"
	case len(held.Paths) > 0:
		most := held.Paths[0]
		r.Path, r.RetainedBytes = most.Steps, held.RetainedBytes
		by = ", by " + most.String()
		if most.Count < held.Objects {
			by = fmt.Sprintf(", %d of %d by %s", most.Count, held.Objects, most)
		}
		if held.Inner > 0 && held.Type != n.Type {
			by += ", as a part of " + held.Type
		}
		size := bytesize.Format(int64(held.RetainedBytes))
		if held.Found < uint64(n.Count) {
			by += fmt.Sprintf("; with what they hold, %s stay of the %d that were looked at", size, held.Found)
		} else {
			by += "; with what they hold, " + size + " stay"
		}
		for _, other := range held.Paths[1:min(len(held.Paths), 4)] {
			r.Evidence = append(r.Evidence, fmt.Sprintf("%d by %s", other.Count, other))
		}
	}
	objects, are, were := "objects", "are", "they were"
	if n.Count == 1 {
		objects, are, were = "object", "is", "it was"
	}
	r.Sentence = oneLine(fmt.Sprintf("%d %s of %s (owner %s) %s still held %d collections after %s released%s",
		n.Count, objects, n.Type, n.Owner, are, n.Collections, were, by))
	return r
}

// trackers are the functions that tracked an object, without those of this module that only passed it on.
func trackers(site []uintptr) []string {
	all := frames(site)
	for len(all) > 0 && strings.HasPrefix(all[0], "github.com/memwarden/memwarden.Track") {
		all = all[1:]
	}
	return all
}
