package memhttp

import (
	"net/http"

	"github.com/memwarden/memwarden"
)

// Access says who may use a route.
type Access uint8

// The kinds of access.
const (
	Probe  Access = iota // everyone, never rate-limited: health and probes
	Read                 // everyone within the rate limit, unless Options.ReadsNeedToken
	Admin                // who presents the admin token
	Public               // everyone, whatever Options.ReadsNeedToken says, within a rate limit of its own

	upgrade // a WebSocket: as Read, but asks for the token itself
)

// Routes that are more than an answer to a question.
const (
	livePath    = "/api/monitoring/live"
	metricsPath = "/metrics"
	openAPIPath = "/openapi.yaml"
)

// String names the access.
func (a Access) String() string { return [...]string{"probe", "read", "admin", "public", "upgrade"}[a] }

// Route is one operation that Handler answers. Where it answers GET it answers HEAD too.
type Route struct {
	Method  string
	Path    string // pattern of http.ServeMux
	Access  Access
	Summary string // what it is for, in a line
}

type route struct {
	Route
	serve http.HandlerFunc
	// query names the parameters that the route knows. Others are refused, but by probes: a mistyped dry_run must not
	// become a change.
	query []string
}

// Routes lists every operation that Handler answers.
func Routes() []Route {
	var list []Route
	for _, r := range (&handler{}).routes() {
		list = append(list, r.Route)
	}
	return list
}

func (h *handler) routes() []route {
	const (
		get, post, patch, remove = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
		memory                   = "/api/monitoring/memory"
		snapshots                = memory + "/snapshots"
		incidents                = memory + "/incidents"
		pages                    = "/api/monitoring/frontend"
	)
	names := func(names ...string) []string { return names }
	return []route{
		{Route{get, "/livez", Probe, "Is the process alive? Fails only where a restart helps"}, h.serveLive, nil},
		{Route{get, "/readyz", Probe, "May the process get traffic?"}, h.serveReady, nil},
		{Route{get, "/startupz", Probe, "Has the process started?"}, h.serveStartup, nil},
		{Route{get, "/api/health", Probe, "Every health check with its details"}, h.serveHealth, nil},

		{Route{get, memory + "/stats", Read, "The newest sample, the owners of memory, history on request"}, h.serveStats, names("history", "since", "until")},
		{Route{get, memory + "/health", Read, "The pressure level with its reason, and what was decided"}, h.serveMemoryHealth, nil},
		{Route{get, memory + "/limits", Read, "Every bound with its use and its peak"}, h.serveLimits, nil},
		{Route{get, memory + "/leaks", Read, "Does the process leak? The verdict, and the leaks that were found, newest first"}, h.serveLeaks, names("before", "limit", "browser")},
		{Route{get, memory + "/leaks/{id}", Read, "One leak that was found"}, h.serveLeak, nil},
		{Route{get, livePath, Read, "Follow samples and what happens, as server-sent events"}, h.serveStream, nil},
		{Route{get, metricsPath, Read, "The metrics in Prometheus' text format"}, h.serveMetrics, nil},
		{Route{get, openAPIPath, Read, "The OpenAPI document of this API"}, h.serveOpenAPI, nil},

		{Route{post, pages + "/reports", Public, "Report from a page: errors, leaks, figures"}, h.serveReport, nil},
		{Route{http.MethodOptions, pages + "/reports", Public, "May a page of another origin send reports?"}, h.servePreflight, nil},
		{Route{get, pages + "/reports", Admin, "The reports from pages, newest first"}, h.serveReports, names("before", "limit")},
		{Route{get, pages + "/components", Admin, "What pages report of components, by name and release, the slowest first"}, h.serveComponents(), names("release", "name", "sort", "offset", "limit")},
		{Route{get, pages + "/releases", Admin, "What pages report of each release: heap, what blocks, warnings"}, h.serveReleases(), names("release", "offset", "limit")},
		{Route{get, pages + "/leaks", Admin, "The leaks that pages report, those with most survivors first"}, h.servePageLeaks(), names("release", "name", "offset", "limit")},
		{Route{post, memory + "/leaks/check", Admin, "Look for leaks now, and answer with the verdict"}, h.serveCheckLeaks, nil},
		{Route{post, memory + "/leaks/{id}/acknowledge", Admin, "Note that a leak is known"}, h.settleLeak(memwarden.LeakAcknowledged), nil},
		{Route{post, memory + "/leaks/{id}/dismiss", Admin, "Note that it is no leak: others like it stay quiet"}, h.settleLeak(memwarden.LeakDismissed), nil},
		{Route{post, memory + "/gc", Admin, "Force a garbage collection, with figures before and after"}, h.serveGC, nil},
		{Route{get, memory + "/config", Admin, "The configuration in force"}, h.serveConfig, nil},
		{Route{patch, memory + "/config", Admin, "Change the configuration by a JSON merge patch"}, h.servePatchConfig, names("dry_run")},
		{Route{get, memory + "/config/audit", Admin, "The changes of the configuration, newest first"}, h.serveConfigAudit, names("limit")},
		{Route{get, memory + "/cleanup", Admin, "The cleanup tasks and what has become of them"}, h.serveCleanup, nil},
		{Route{post, memory + "/cleanup/{name}/run", Admin, "Run a cleanup task and wait for it"}, h.serveRunCleanup, nil},
		{Route{post, snapshots, Admin, "Take a heap snapshot, keep it and analyse it"}, h.serveTakeSnapshot, nil},
		{Route{get, snapshots, Admin, "The heap snapshots that are kept, newest first"}, h.serveSnapshots, nil},
		{Route{get, snapshots + "/compare", Admin, "What has changed from one heap snapshot to another, by type and by suspect"}, h.serveCompareSnapshots, names("from", "to")},
		{Route{get, snapshots + "/{id}", Admin, "A heap snapshot and what holds the memory in it"}, h.serveSnapshot, names("top")},
		{Route{remove, snapshots + "/{id}", Admin, "Delete a heap snapshot"}, h.serveDeleteSnapshot, nil},
		{Route{get, snapshots + "/{id}/download", Admin, "The file of a heap snapshot, for memwarden analyze"}, h.serveSnapshotFile, nil},
		{Route{post, incidents, Admin, "Write an incident bundle: profiles, goroutines, figures"}, h.serveRecordIncident, nil},
		{Route{get, incidents, Admin, "The incident bundles that are kept, newest first, and how the last run has ended"}, h.serveIncidents, nil},
		{Route{get, incidents + "/{id}", Admin, "An incident bundle: why it was written, and what is in it"}, h.serveIncident, nil},
		{Route{remove, incidents + "/{id}", Admin, "Delete an incident bundle"}, h.serveDeleteIncident, nil},
		{Route{get, incidents + "/{id}/download", Admin, "An incident bundle as a tar file, compressed by gzip"}, h.serveIncidentFile, nil},
		{Route{get, "/debug/pprof/", Admin, "List the profiles with their counts"}, h.serveProfiles, nil},
		{Route{get, "/debug/pprof/profile", Admin, "Record a CPU profile"}, h.serveCPUProfile, names("seconds")},
		{Route{get, "/debug/pprof/trace", Admin, "Record an execution trace"}, h.serveTrace, names("seconds")},
		{Route{get, "/debug/pprof/flightrecorder", Admin, "The execution trace of the last seconds, where a flight recorder runs"}, h.serveFlightRecorder, nil},
		{Route{get, "/debug/pprof/{profile}", Admin, "One of the runtime's profiles: heap, goroutine, allocs and others"}, h.serveProfile, names("debug", "gc")},
	}
}
