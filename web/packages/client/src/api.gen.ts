// Made from server/openapi.yaml by "npm run generate"; do not edit.

export interface paths {
    "/livez": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Is the process alive? Fails only where a restart helps
         * @description Memory pressure never fails it. Without an Accept header that names JSON the answer is the status in a word.
         */
        get: operations["getLiveness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * May the process get traffic?
         * @description It fails while memory pressure is critical, and for good once a shutdown has begun. A failure counts when it has lasted for two checks, and so does its end.
         */
        get: operations["getReadiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/startupz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Has the process started? */
        get: operations["getStartup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Every health check with its details
         * @description The answer is application/health+json where Accept names it. Results are at most a few seconds old.
         */
        get: operations["getHealth"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/stats": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The newest sample, the owners of memory, history on request
         * @description Samples are taken each second, unless configured otherwise, and of a process at rest for ten minutes (see
         *     `sampling.interval_seconds`) each 5 s; asking more often brings the same sample. With `history`
         *     the answer has a stretch of the past in columns: `at_unix_seconds[i]` and each column's `[i]` belong together.
         */
        get: operations["getStats"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The pressure level with its reason, and what was decided
         * @description It answers 200 whatever the level is; /readyz is what fails under critical pressure.
         */
        get: operations["getMemoryHealth"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/limits": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Every bound with its use and its peak */
        get: operations["getLimits"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/leaks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Does the process leak? The verdict, and the leaks that were found, newest first
         * @description The verdict is the worst of what is found of the live heap (less what owners account for), memory outside of the Go
         *     runtime, descriptors, threads and goroutines; what was dismissed does not count. Leaks are what was suspected or
         *     confirmed, and other things that are taken again and again and not given back: database connections that are held too
         *     long, subscriptions to events that nobody closes, tracked objects that were released and are still held, and what the
         *     program reports itself. Of a leak that is seen for long the newest report is listed, and while it goes on it stays on
         *     the list: `last_seen`, the sentence and the figures are those of now. Kept reports are bounded in count and age: the
         *     oldest make room, but for those of leaks that go on and of those that were dismissed. While they cannot be read, the
         *     verdict is answered all the same, with the leaks that go on: `incomplete` says so. With `before`, or for pages alone, it is
         *     503 then.
         *
         *     Leaks in pages, of the kind `browser`, stand on the list too. They are what whoever sends a report says: they count
         *     for no verdict, make no room among the other leaks, and have no event, notification, snapshot or cleanup follow. One
         *     comes onto the list when it is first told of and whenever its survivors have doubled, once in ten minutes at most,
         *     and 200 different ones a day from each instance; `/api/monitoring/frontend/leaks` has more of them.
         */
        get: operations["listLeaks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/leaks/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One leak that was found
         * @description The newest report of the leak that the report of this number is about.
         */
        get: operations["getLeak"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/leaks/check": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Look for leaks now, and answer with the verdict
         * @description A collection is forced, and everything looked at once. No window becomes shorter by it: what was not watched for long
         *     enough is not known better.
         */
        post: operations["checkLeaks"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/leaks/{id}/acknowledge": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Note that a leak is known
         * @description Its status becomes `acknowledged`. If leaks of its `signature` were dismissed, that is taken back; nothing else changes.
         */
        post: operations["acknowledgeLeak"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/leaks/{id}/dismiss": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Note that it is no leak: others like it stay quiet
         * @description Its status becomes `dismissed`. It no longer counts for the verdict, and what has the same `signature` is not reported any more, nor told of in the live stream or notifications, nor, of what the detection finds, in the log, until one of them is acknowledged. The report stays on the list until then, whatever the bounds of others; the last 1,000 signatures that were dismissed are known.
         */
        post: operations["dismissLeak"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow samples and what happens, as server-sent events or over WebSocket
         * @description The answer is a stream of events that does not end by itself. The first event is the newest sample. An event's name
         *     is its kind, its data one JSON document on one line:
         *
         *     | event | when | data |
         *     | --- | --- | --- |
         *     | `sample` | at each sample | Stats |
         *     | `pressure` | the level has changed | PressureDecision |
         *     | `limit` | the Go memory limit, or who decides on it, has changed | LimitDecision |
         *     | `gc` | a forced collection has ended | GCResult |
         *     | `leak` | a verdict about leaks has changed | a finding, as in Leaks |
         *     | `incident` | an incident bundle was written; what is in it is for admins | its id, at and rule |
         *     | `leak_report` | a leak report was kept, or a leak was acknowledged or dismissed | Leak |
         *     | `config` | the configuration has changed; what it is now is for admins | ConfigEvent |
         *
         *     Each client has a queue of some seconds: who reads more slowly loses the oldest events, and is dropped when an event
         *     cannot be delivered within 10 s. There may be a limited number of clients; one more gets 503 with `Retry-After`. The
         *     stream ends, without an error, when the server shuts down; the last event is then `end` with a reason,
         *     `{"reason":"the server is shutting down"}`, which a break of the connection does not have. Events have no ids: who comes back gets the newest sample
         *     first, and can ask for what was missed as history.
         *
         *     A server may offer the same over WebSocket: it answers a request for an upgrade here with 101, as the service does,
         *     where package memhttp alone goes on with the event stream. Each event is a text message with a LiveMessage,
         *     `{"type":"sample","data":{…}}`. Where reads need the token it is not asked for in a header, which browsers cannot set:
         *     the client's first message must be a LiveAuth, `{"type":"auth","token":"…"}`, within 5 s, or the server closes with
         *     1008. Apart from that the client has nothing to say: what it sends is dropped, and a message above 4096 bytes ends the
         *     connection. The server pings each 30 s, and drops a client that has not answered for 40 s. At a shutdown it closes
         *     with 1001. A page may connect to its own host only.
         */
        get: operations["followLive"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The metrics in Prometheus' text format
         * @description Figures that are absent have no line. Their families are listed in docs/reference/metrics.md.
         */
        get: operations["getMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.yaml": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The OpenAPI document of this API */
        get: operations["getOpenAPI"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/frontend/reports": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The reports from pages, newest first */
        get: operations["listFrontendReports"];
        put?: never;
        /**
         * Report from a page: errors, leaks, figures
         * @description One body is one report. A beacon that a page sends as it goes is `text/plain`. 201 means that the report is kept:
         *     where the service has a database, that it is durable. A report that comes again within ten minutes, in JSON that
         *     differs in white space alone, is kept once: it is answered with the number that it has, as one may that was sent
         *     because an answer was lost. Kept reports are bounded in count and age: the oldest make room, also one whose number
         *     is still answered. The route is open to all, within a rate limit of its own for each address.
         *
         *     Items of the kinds that the packages for browsers send must be as described here, and may have other fields beside;
         *     items of other kinds are kept as they are, with at most 16 levels, 10,000 values, 256 bytes in a name and 16,384 in a
         *     text. What cannot be used is refused as a whole, with every field that is wrong, up to 20.
         *
         *     A page of another origin is refused with 403 unless its origin is named (MEMWARDEN_FRONTEND_ORIGINS). It is the
         *     browser that says where a page is from: this keeps out other people's pages, not programs.
         */
        post: operations["addFrontendReport"];
        delete?: never;
        /**
         * May a page of another origin send reports?
         * @description What browsers ask before such a page sends JSON; text may be sent unasked, and is refused afterwards.
         */
        options: operations["mayAddFrontendReport"];
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/frontend/components": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What pages report of components, by name and release, the slowest first
         * @description What is added up are the reports that are kept, as far as there is room for what is needed of them: `complete` says
         *     whether any was left out for want of it, `since` how far they reach back. So a restart changes nothing, and instances
         *     that share their database answer the same. Rows beyond 5,000 are counted under the name `(other)`, `folded` times.
         */
        get: operations["listFrontendComponents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/frontend/releases": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What pages report of each release: heap, what blocks, warnings
         * @description What is added up are the reports that are kept, as far as there is room for what is needed of them: `complete` says
         *     whether any was left out for want of it, `since` how far they reach back. So a restart changes nothing, and instances
         *     that share their database answer the same. Releases beyond 200 are counted under the name `(other)`, `folded` times.
         *     The release that was seen last comes first.
         */
        get: operations["listFrontendReleases"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/frontend/leaks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The leaks that pages report, those with most survivors first
         * @description What is added up are the reports that are kept, as far as there is room for what is needed of them: `complete` says
         *     whether any was left out for want of it, `since` how far they reach back. So a restart changes nothing, and instances
         *     that share their database answer the same. Rows beyond 5,000 are counted under the name `(other)`, `folded` times.
         *     A page tells of a leak when it sees it first, and again each time its survivors have doubled: figures, owners and
         *     holders are those of the report with the most survivors.
         */
        get: operations["listFrontendLeaks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/gc": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Force a garbage collection, with figures before and after
         * @description One collection runs at a time: who asks meanwhile shares it. Collections that bring little are backed off: then none
         *     runs, `ran` is false, `reason` says why and `retry_after_seconds` when to come back. That is 200 too.
         */
        post: operations["forceGC"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/config": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The configuration in force */
        get: operations["getConfig"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change the configuration by a JSON merge patch
         * @description Fields that are left out stay; null returns a field, or a group of them, to its start-up value. The change is checked
         *     as a whole, stored, and in force with the next sample, which is taken at once. On any error nothing was changed;
         *     after 503 the detail says whether that is certain.
         */
        patch: operations["patchConfig"];
        trace?: never;
    };
    "/api/monitoring/memory/config/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The changes of the configuration, newest first */
        get: operations["getConfigAudit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/cleanup": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The cleanup tasks and what has become of them */
        get: operations["listCleanupTasks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/cleanup/{name}/run": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Run a cleanup task and wait for it
         * @description The answer comes when the task has returned, or at its timeout. A task that has failed, timed out or panicked was run
         *     all the same: that is 200, and `error` says what went wrong. When the client goes away the task is told to end.
         */
        post: operations["runCleanupTask"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/snapshots": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The heap snapshots that are kept, newest first
         * @description Where none are kept, because no directory is set or another process is watched, that is 409.
         */
        get: operations["listSnapshots"];
        put?: never;
        /**
         * Take a heap snapshot, keep it and analyse it
         * @description The process stands still for milliseconds, while it makes a frozen copy of itself; a helper process reads the copy and
         *     then analyses the file. One snapshot is taken at a time (409), and a cooldown lies between two (429). It is refused
         *     before anything is done where the memory or the disk has no room for it, and broken off before it takes what is held
         *     in reserve (503; the detail has the figures). The snapshots that are kept are bounded in count, age and bytes: the
         *     oldest make room. When the client goes away the snapshot is broken off. Where the analysis alone goes wrong the
         *     snapshot is kept all the same: that is 201, and `failure` says what went wrong.
         */
        post: operations["takeSnapshot"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/snapshots/compare": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What has changed from one heap snapshot to another, by type and by suspect
         * @description A suspect is the same in two snapshots if its signature is, which also outlives another build of the program.
         */
        get: operations["compareSnapshots"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/snapshots/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A heap snapshot and what holds the memory in it
         * @description The analysis is made when it is first asked for, by a helper process within the memory that is free, and then kept.
         *     Where it cannot be made, `failure` says why: the file can be downloaded and analysed elsewhere.
         */
        get: operations["getSnapshot"];
        put?: never;
        post?: never;
        /** Delete a heap snapshot */
        delete: operations["deleteSnapshot"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/snapshots/{id}/download": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The file of a heap snapshot, for memwarden analyze
         * @description One range can be asked for, to go on where a download broke off; If-Range takes the ETag. The format is described in docs/format.
         */
        get: operations["downloadSnapshot"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/incidents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The incident bundles that are kept, newest first, and how the last run has ended
         * @description Where none are written, that is 409.
         */
        get: operations["listIncidents"];
        put?: never;
        /**
         * Write an incident bundle: profiles, goroutines, figures
         * @description The answer comes once profile, goroutines and figures are on disk; what takes longer follows: `pending` names it.
         *     It is refused where too little memory or disk is left (503). The bundles that are kept are bounded in count, age and
         *     bytes: the oldest go first. Where none are written, because they are switched off, no directory is set or another
         *     process is watched, that is 409.
         */
        post: operations["recordIncident"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/incidents/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** An incident bundle: why it was written, and what is in it */
        get: operations["getIncident"];
        put?: never;
        post?: never;
        /** Delete an incident bundle */
        delete: operations["deleteIncident"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/monitoring/memory/incidents/{id}/download": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * An incident bundle as a tar file, compressed by gzip
         * @description Its manifest.json and the parts that this names, in a directory of the bundle's id. Profiles and traces are for go
         *     tool pprof and go tool trace, the heap snapshot for memwarden analyze. There are no contents of strings in it, no
         *     environment and no command line; goroutines.txt shows arguments of functions as the words that they are in memory.
         */
        get: operations["downloadIncident"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/debug/pprof/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the profiles with their counts */
        get: operations["listProfiles"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/debug/pprof/profile": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Record a CPU profile
         * @description There can be one at a time in a process. It ends early, and is complete up to then, when the server shuts down.
         */
        get: operations["recordCPUProfile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/debug/pprof/trace": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Record an execution trace
         * @description There can be one at a time in a process. It ends early, and is complete up to then, when the server shuts down.
         */
        get: operations["recordTrace"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/debug/pprof/flightrecorder": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The execution trace of the last seconds, where a flight recorder runs
         * @description For go tool trace. MEMWARDEN_INCIDENT_TRACE has a flight recorder run; without it the answer is 409, as it is while
         *     the trace is sent to somebody else: it has some MiB.
         */
        get: operations["getRecentTrace"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/debug/pprof/{profile}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One of the runtime's profiles: heap, goroutine, allocs and others
         * @description Differences over a time (`seconds`) are not made here; take two profiles and compare them by `go tool pprof
         *     -diff_base`. Profiles of goroutines that would take the memory that is left are refused with 503, and so is the text
         *     of each of 10,000 goroutines and more.
         */
        get: operations["getProfile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The routes of this service */
        get: operations["getIndex"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * @description How close use is to a limit.
         * @enum {string}
         */
        Level: "normal" | "elevated" | "high" | "critical";
        /** @description The answer of all checks asked, in the shape that users of Terminus know. */
        HealthReport: {
            /**
             * @description shutting_down goes before error: it comes back on another instance only.
             * @enum {string}
             */
            status: "ok" | "error" | "shutting_down";
            /** @description The checks that are up, by name. */
            info: {
                [key: string]: components["schemas"]["HealthEntry"];
            };
            /** @description The checks that are down, by name. */
            error: {
                [key: string]: components["schemas"]["HealthEntry"];
            };
            /** @description All of them, by name. */
            details: {
                [key: string]: components["schemas"]["HealthEntry"];
            };
        };
        /** @description What is known of one check. Besides these fields it has the check's own figures, with units in their names. */
        HealthEntry: {
            /** @enum {string} */
            status: "up" | "down";
            /**
             * @description degraded: it works, but not as it should. That fails no probe.
             * @enum {string}
             */
            level: "ok" | "degraded" | "down";
            /** @description What is the matter. */
            message?: string;
            /**
             * Format: date-time
             * @description When the result came in; absent before the first.
             */
            checked_at?: string;
            /**
             * Format: date-time
             * @description When it was last not down; absent if it is not down, or never was up.
             */
            last_up_at?: string;
        } & {
            [key: string]: unknown;
        };
        /** @description What the newest sample shows. Groups without any figure are absent, such as go for a process watched from outside. */
        Stats: {
            /**
             * Format: date-time
             * @description When the sample was taken.
             */
            at: string;
            go?: components["schemas"]["GoMemory"];
            process?: components["schemas"]["ProcessMemory"];
            cgroup?: components["schemas"]["CgroupMemory"];
            psi?: components["schemas"]["PressureStall"];
            system?: components["schemas"]["SystemMemory"];
            /**
             * Format: double
             * @description Time since the warden started.
             */
            uptime_seconds: number;
            pressure: components["schemas"]["PressureDecision"];
            /** @description The registered owners of memory, by name; at most 1024. */
            owners: components["schemas"]["Owner"][];
            problems?: components["schemas"]["SampleProblems"];
            /**
             * @description The process watched from outside has ended; absent otherwise.
             * @enum {boolean}
             */
            gone?: true;
            history?: components["schemas"]["History"];
        };
        /** @description The Go runtime's own account. */
        GoMemory: {
            /**
             * Format: int64
             * @description Marked live by the last completed collection; absent before the first.
             */
            heap_live_bytes?: number;
            /**
             * Format: int64
             * @description Live objects and garbage not yet swept.
             */
            heap_objects_bytes?: number;
            /**
             * Format: int64
             * @description In spans that hold objects, used by none.
             */
            heap_unused_bytes?: number;
            /**
             * Format: int64
             * @description Free, not returned to the operating system.
             */
            heap_free_bytes?: number;
            /**
             * Format: int64
             * @description Free, returned to the operating system.
             */
            heap_released_bytes?: number;
            /**
             * Format: int64
             * @description Heap size at which the next collection ends.
             */
            heap_goal_bytes?: number;
            /**
             * Format: int64
             * @description Objects, live or not yet swept.
             */
            heap_objects?: number;
            /**
             * Format: int64
             * @description Stacks of goroutines and of threads that the runtime made.
             */
            stacks_bytes?: number;
            /**
             * Format: int64
             * @description Structures of the runtime itself.
             */
            metadata_bytes?: number;
            /**
             * Format: int64
             * @description All memory mapped by the runtime.
             */
            total_bytes?: number;
            /**
             * Format: int64
             * @description total_bytes less heap_released_bytes: what the memory limit bounds.
             */
            used_bytes?: number;
            /**
             * Format: int64
             * @description GOMEMLIMIT in force; absent when there is none.
             */
            memory_limit_bytes?: number;
            /**
             * Format: int64
             * @description GOGC in force; absent when it is off.
             */
            gogc_percent?: number;
            /**
             * Format: int64
             * @description Live goroutines.
             */
            goroutines?: number;
            /**
             * Format: int64
             * @description Bytes allocated on the heap.
             */
            allocated_bytes_total?: number;
            /**
             * Format: int64
             * @description Completed collections.
             */
            gc_cycles_total?: number;
            /**
             * Format: int64
             * @description Completed collections that the program forced.
             */
            gc_forced_cycles_total?: number;
            /**
             * Format: int64
             * @description Collection in which the collector's CPU limiter was last active; absent when it never was.
             */
            gc_limiter_last_cycle?: number;
            /**
             * Format: double
             * @description CPU time that the collector took.
             */
            gc_cpu_seconds_total?: number;
            /**
             * Format: double
             * @description CPU time available to Go code: GOMAXPROCS integrated over time.
             */
            cpu_available_seconds_total?: number;
            /**
             * Format: double
             * @description Share of the available CPU that the collector took, between the last two ends of a collection that were seen.
             */
            gc_cpu_ratio?: number;
            /**
             * Format: double
             * @description Median stop-the-world pause of the last slow interval that had one; like the next two the upper bound of a histogram's bucket.
             */
            gc_pause_p50_seconds?: number;
            /**
             * Format: double
             * @description 99th percentile of these pauses.
             */
            gc_pause_p99_seconds?: number;
            /**
             * Format: double
             * @description Longest of these pauses.
             */
            gc_pause_max_seconds?: number;
        };
        /** @description The kernel's account of the process. */
        ProcessMemory: {
            /**
             * Format: int64
             * @description Resident memory.
             */
            rss_bytes?: number;
            /**
             * Format: int64
             * @description Resident memory beyond what the Go runtime uses: cgo, mmap, text and data.
             */
            off_heap_bytes?: number;
            /**
             * Format: int64
             * @description Highest resident memory so far.
             */
            peak_rss_bytes?: number;
            /**
             * Format: int64
             * @description Resident memory, shared pages counted in proportion.
             */
            pss_bytes?: number;
            /**
             * Format: int64
             * @description Resident memory that no file backs.
             */
            anonymous_bytes?: number;
            /**
             * Format: int64
             * @description Memory in swap.
             */
            swap_bytes?: number;
            /**
             * Format: int64
             * @description Open file descriptors; handles on Windows.
             */
            file_descriptors?: number;
            /**
             * Format: int64
             * @description Soft limit of open file descriptors.
             */
            max_file_descriptors?: number;
            /**
             * Format: int64
             * @description Threads.
             */
            threads?: number;
        };
        /** @description The memory controller's account of the process's control group, which is the container's. */
        CgroupMemory: {
            /**
             * Format: int64
             * @description Version of the memory controller.
             * @enum {integer}
             */
            version?: 1 | 2;
            /**
             * Format: int64
             * @description Memory, page cache included.
             */
            current_bytes?: number;
            /**
             * Format: int64
             * @description Page cache that the kernel can take back at once.
             */
            inactive_file_bytes?: number;
            /**
             * Format: int64
             * @description current_bytes less inactive_file_bytes: what cannot be taken back at once.
             */
            working_set_bytes?: number;
            /**
             * Format: int64
             * @description Limit: the strictest of the group's and its parents'; absent when none is set.
             */
            max_bytes?: number;
            /**
             * Format: int64
             * @description Use at which the kernel throttles: the strictest of the group's and its parents'; absent when none is set.
             */
            high_bytes?: number;
            /**
             * Format: int64
             * @description Highest memory so far.
             */
            peak_bytes?: number;
            /**
             * Format: int64
             * @description Swap.
             */
            swap_bytes?: number;
            /**
             * Format: int64
             * @description Times that use went past the group's own high limit.
             */
            high_events_total?: number;
            /**
             * Format: int64
             * @description Times that use was about to pass the group's own max limit.
             */
            max_events_total?: number;
            /**
             * Format: int64
             * @description Times that an allocation was about to fail there.
             */
            oom_events_total?: number;
            /**
             * Format: int64
             * @description Processes of the group that the kernel killed for memory, whoever's limit it was.
             */
            oom_kill_events_total?: number;
            /** @description The parents of the group that have a limit, nearest first, as far as they can be seen; of more than 4 the fullest. Absent when there are none. */
            parents?: components["schemas"]["CgroupParent"][];
        };
        /** @description The memory controller's account of a parent of the process's control group, which is that of all groups below it. */
        CgroupParent: {
            /** @description Its path in the hierarchy, as the process sees it; / is the top of its namespace. */
            path: string;
            /**
             * Format: int64
             * @description Its own limit; absent when none is set.
             */
            max_bytes?: number;
            /**
             * Format: int64
             * @description Use at which the kernel throttles all groups below it; absent when none is set.
             */
            high_bytes?: number;
            /**
             * Format: int64
             * @description Memory, page cache included.
             */
            current_bytes?: number;
            /**
             * Format: int64
             * @description Page cache that the kernel can take back at once.
             */
            inactive_file_bytes?: number;
            /**
             * Format: int64
             * @description current_bytes less inactive_file_bytes: what cannot be taken back at once.
             */
            working_set_bytes?: number;
            /**
             * Format: int64
             * @description Times that use went past its own high_bytes.
             */
            high_events_total?: number;
            /**
             * Format: int64
             * @description Times that use was about to pass its own max_bytes.
             */
            max_events_total?: number;
            /**
             * Format: int64
             * @description Times that an allocation was about to fail there.
             */
            oom_events_total?: number;
        };
        /** @description The kernel's pressure stall information on memory. */
        PressureStall: {
            /**
             * @description Whose it is: the control group's where it has one, else the machine's.
             * @enum {string}
             */
            scope: "cgroup" | "system";
            /**
             * Format: double
             * @description Share of the last 10 s in which some tasks were stalled.
             */
            some_avg10_ratio?: number;
            /**
             * Format: double
             * @description Share of the last 60 s in which some tasks were stalled.
             */
            some_avg60_ratio?: number;
            /**
             * Format: double
             * @description Share of the last 10 s in which all tasks were stalled.
             */
            full_avg10_ratio?: number;
            /**
             * Format: double
             * @description Share of the last 60 s in which all tasks were stalled.
             */
            full_avg60_ratio?: number;
            /**
             * Format: double
             * @description Time in which some tasks were stalled.
             */
            some_seconds_total?: number;
            /**
             * Format: double
             * @description Time in which all tasks were stalled.
             */
            full_seconds_total?: number;
        };
        /** @description The machine's memory. */
        SystemMemory: {
            /**
             * Format: int64
             * @description All of it.
             */
            total_bytes?: number;
            /**
             * Format: int64
             * @description What can be had without swapping.
             */
            available_bytes?: number;
            /**
             * Format: int64
             * @description All swap.
             */
            swap_total_bytes?: number;
            /**
             * Format: int64
             * @description Free swap.
             */
            swap_free_bytes?: number;
        };
        /** @description Files that exist but could not be read or understood, whose figures are absent; absent when there are none, at most 64. */
        SampleProblems: {
            /** @description The file or source. */
            path: string;
            /** @description What is wrong with it. */
            reason: string;
        }[];
        /** @description A part of the program that holds memory inside a bound of its own. Figures that it does not have are absent. */
        Owner: {
            /** @description Unique in the process. */
            name: string;
            /**
             * Format: int64
             * @description Entries held now.
             */
            entries?: number;
            /**
             * Format: int64
             * @description Bound on entries.
             */
            max_entries?: number;
            /**
             * Format: int64
             * @description Most entries so far.
             */
            peak_entries?: number;
            /**
             * Format: int64
             * @description Bytes held now, the owner's own overhead included.
             */
            bytes?: number;
            /**
             * Format: int64
             * @description Bound on bytes.
             */
            max_bytes?: number;
            /**
             * Format: int64
             * @description Most bytes so far.
             */
            peak_bytes?: number;
            /** @description Why it could not be asked; absent when it could. */
            error?: string;
        };
        /** @description A stretch of the past by column: at[i] and each column's [i] belong together. */
        History: {
            /**
             * Format: double
             * @description Length of a point.
             * @enum {number}
             */
            resolution_seconds: 1 | 10 | 60;
            /**
             * Format: date-time
             * @description Points before this time survive a crash; absent when none is stored.
             */
            saved_until?: string;
            /** @description When each point begins, in Unix seconds, oldest first. The last one is still open and may change. */
            at_unix_seconds: number[];
            /** @description One value for each point; null where there is none. Where a point has several samples it keeps the largest figure, but the smallest of heap_live_min_bytes and the newest of limits and totals. */
            columns: {
                heap_live_bytes: components["schemas"]["Column"];
                heap_live_min_bytes: components["schemas"]["Column"];
                heap_objects_bytes: components["schemas"]["Column"];
                go_used_bytes: components["schemas"]["Column"];
                rss_bytes: components["schemas"]["Column"];
                off_heap_bytes: components["schemas"]["Column"];
                working_set_bytes: components["schemas"]["Column"];
                container_limit_bytes: components["schemas"]["Column"];
                memory_limit_bytes: components["schemas"]["Column"];
                goroutines: components["schemas"]["Column"];
                file_descriptors: components["schemas"]["Column"];
                gc_cycles_total: components["schemas"]["Column"];
                /** @description 0 normal, 1 elevated, 2 high, 3 critical. */
                pressure_level: (number | null)[];
            };
        };
        Column: (number | null)[];
        /** @description The level in force after a sample, with what it was judged from. */
        PressureDecision: {
            /**
             * Format: date-time
             * @description Time of the sample.
             */
            at: string;
            /** @description The level in force. */
            level: components["schemas"]["Level"];
            /** @description The level before this one. */
            previous: components["schemas"]["Level"];
            /**
             * Format: date-time
             * @description When the level was taken.
             */
            since: string;
            /** @description This sample changed the level. */
            changed: boolean;
            /** @description What this sample shows by itself. A level is taken and left only when that has lasted. */
            seen: components["schemas"]["Level"];
            /** @description There was something to judge by: a limit is known and a figure to hold against it. */
            judged: boolean;
            /** @description One sentence with figures, also on why nothing fired. */
            reason: string;
            /** @description What the sample had figures for; empty when there was nothing. */
            signals: components["schemas"]["PressureSignal"][];
        };
        /** @description One use held against one limit. */
        PressureSignal: {
            /**
             * @description container: working set against the limit of the cgroup, or of a parent that is fuller. go_limit: Go memory that no collection gives back against GOMEMLIMIT. process: resident memory against the configured limit. system: the machine's memory in use against all of it.
             * @enum {string}
             */
            name: "container" | "go_limit" | "process" | "system";
            /** @description Path of the parent group whose use and limit these are; absent when they are the process's own group's. */
            group?: string;
            /**
             * Format: int64
             * @description What counts as use.
             */
            used_bytes: number;
            /**
             * Format: int64
             * @description What was left out of it because the collector gives it back in time; absent when that is nothing.
             */
            garbage_bytes?: number;
            /**
             * Format: int64
             * @description The limit.
             */
            limit_bytes: number;
            /**
             * Format: double
             * @description used_bytes / limit_bytes; it may pass 1.
             */
            ratio: number;
            /** @description What this signal shows by itself. */
            level: components["schemas"]["Level"];
        };
        /** @description The Go memory limit, who decided on it, and why. */
        LimitDecision: {
            /**
             * Format: date-time
             * @description When it was decided.
             */
            at: string;
            /**
             * @description explicit: GOMEMLIMIT in the environment. program: set by the program. derived: from the container's limit. override: from the configured one. refused: the reserve leaves too little. none: there is nothing to derive it from. disabled: managing it is switched off.
             * @enum {string}
             */
            source: "explicit" | "program" | "derived" | "override" | "refused" | "none" | "disabled";
            /**
             * Format: int64
             * @description The limit in force; absent when there is none.
             */
            limit_bytes?: number;
            /**
             * Format: int64
             * @description What it is derived from; absent when it is not derived.
             */
            basis_bytes?: number;
            /**
             * Format: int64
             * @description The derived limit without relief; absent when it is not derived.
             */
            wanted_bytes?: number;
            /**
             * Format: int64
             * @description The highest that relief may make of it; absent when it is not derived.
             */
            ceiling_bytes?: number;
            /**
             * Format: date-time
             * @description When an active relief ends; absent when none is.
             */
            relief_until?: string;
            /** @description This decision changed the limit. */
            apply: boolean;
            /** @description One sentence with figures. */
            reason: string;
        };
        /** @description Whether the collector spirals under its memory limit, and what is done about it. */
        ReliefDecision: {
            /**
             * Format: date-time
             * @description When it was decided.
             */
            at: string;
            /** @description The collector spirals. */
            spiral: boolean;
            /** @description The limit was raised by this decision. */
            relieve: boolean;
            /**
             * Format: double
             * @description By how much the limit was raised; absent when it was not.
             */
            factor_ratio?: number;
            /**
             * Format: date-time
             * @description Until when; absent when it was not raised.
             */
            until?: string;
            /**
             * Format: double
             * @description GOGC with the memory limit taken into account.
             */
            effective_gogc_percent?: number;
            /**
             * Format: double
             * @description Share of the available CPU that the collector took.
             */
            gc_cpu_ratio?: number;
            /**
             * Format: int64
             * @description Spirals seen.
             */
            spirals_total: number;
            /**
             * Format: int64
             * @description Times that the limit was raised.
             */
            reliefs_total: number;
            /**
             * Format: int64
             * @description Spirals in which the limit was not the warden's to raise.
             */
            reliefs_impossible_total: number;
            /** @description One sentence with figures. */
            reason: string;
        };
        /** @description The level in force, and what was decided. limit and relief are absent for a process watched from outside. */
        MemoryHealth: {
            /**
             * Format: date-time
             * @description Time of the sample.
             */
            at: string;
            level: components["schemas"]["Level"];
            /** @description Why the level is what it is. */
            reason: string;
            pressure: components["schemas"]["PressureDecision"];
            limit?: components["schemas"]["LimitDecision"];
            relief?: components["schemas"]["ReliefDecision"];
            problems?: components["schemas"]["SampleProblems"];
        };
        /** @description Every bound with its use and its peak. */
        Limits: {
            /**
             * Format: date-time
             * @description Time of the sample.
             */
            at: string;
            /** @description The control group's memory; empty where there is none. */
            container: {
                /**
                 * Format: int64
                 * @description Use that cannot be taken back at once.
                 */
                working_set_bytes?: number;
                /**
                 * Format: int64
                 * @description Use, page cache included.
                 */
                current_bytes?: number;
                /**
                 * Format: int64
                 * @description Highest use so far.
                 */
                peak_bytes?: number;
                /**
                 * Format: int64
                 * @description Limit; absent when none is set.
                 */
                max_bytes?: number;
                /**
                 * Format: int64
                 * @description Use at which the kernel throttles; absent when none is set.
                 */
                high_bytes?: number;
                /** @description The parents of the group that have a limit, with their own use; absent when there are none. */
                parents?: components["schemas"]["CgroupParent"][];
            };
            go?: components["schemas"]["LimitDecision"];
            /** @description The registered owners of memory, by name; at most 1024. */
            limits: components["schemas"]["Owner"][];
        };
        GCRequest: {
            /**
             * @description Return free heap to the operating system as well.
             * @default false
             */
            return_to_os: boolean;
        };
        /** @description What became of a forced collection. */
        GCResult: {
            /** @description A collection ran; false: it was backed off. */
            ran: boolean;
            /** @description Another caller's collection was under way, and this is its result. */
            shared: boolean;
            /** @description Free heap was returned to the operating system. */
            returned_to_os: boolean;
            /** @description Who asked, or why none ran. */
            reason: string;
            /**
             * Format: date-time
             * @description When it began, or was refused.
             */
            at: string;
            before?: components["schemas"]["GCFigures"];
            after?: components["schemas"]["GCFigures"];
            /**
             * Format: int64
             * @description By how much the objects became less.
             */
            freed_bytes?: number;
            /**
             * Format: int64
             * @description By how much the memory returned to the operating system became more.
             */
            returned_bytes?: number;
            /**
             * Format: double
             * @description How long it took.
             */
            duration_seconds: number;
            /**
             * Format: double
             * @description When the next one may run.
             */
            retry_after_seconds: number;
        };
        /** @description What a collection may change; absent when none ran. */
        GCFigures: {
            /**
             * Format: int64
             * @description Marked live by the last completed collection.
             */
            heap_live_bytes?: number;
            /**
             * Format: int64
             * @description Live objects and garbage not yet swept.
             */
            heap_objects_bytes?: number;
            /**
             * Format: int64
             * @description Free, not returned to the operating system.
             */
            heap_free_bytes?: number;
            /**
             * Format: int64
             * @description What the memory limit bounds.
             */
            used_bytes?: number;
            /**
             * Format: int64
             * @description Free, returned to the operating system.
             */
            released_bytes?: number;
            /**
             * Format: int64
             * @description Resident memory of the process.
             */
            rss_bytes?: number;
        };
        /** @description The configuration in force, or as it would be after a dry run. */
        ConfigDocument: {
            /**
             * Format: int64
             * @description 0: never changed.
             */
            version: number;
            /**
             * Format: date-time
             * @description When this version was made; absent for 0.
             */
            changed_at?: string;
            config: components["schemas"]["Config"];
            /** @description The fields that differ from their start-up values by a change, such as pressure.high_ratio. */
            overridden: string[];
            /**
             * @description The change was only checked; absent otherwise.
             * @enum {boolean}
             */
            dry_run?: true;
        };
        /** @description All that can be adjusted while the process runs. Defaults are those of a warden that was told nothing. */
        Config: {
            /** @description How often memory is read. */
            sampling: {
                /**
                 * Format: double
                 * @description How often a sample is taken and judged; of a process at rest five times as rarely, up to 5 s: once for ten minutes pressure was normal, 2 GiB were free before every limit, memory and goroutines stayed the same within 2 %, and nobody followed the events. Not above slow_interval_seconds.
                 * @default 1
                 */
                interval_seconds: number;
                /**
                 * Format: double
                 * @description How often costly figures are read.
                 * @default 10
                 */
                slow_interval_seconds: number;
            };
            /** @description Where the pressure levels are, as shares of a limit. */
            pressure: {
                /**
                 * Format: double
                 * @description Share of a limit at which pressure is elevated.
                 * @default 0.7
                 */
                elevated_ratio: number;
                /**
                 * Format: double
                 * @description Share of a limit at which pressure is high; above elevated_ratio.
                 * @default 0.8
                 */
                high_ratio: number;
                /**
                 * Format: double
                 * @description Share of a limit at which pressure is critical; above high_ratio.
                 * @default 0.9
                 */
                critical_ratio: number;
                /**
                 * Format: double
                 * @description How far below a level's share use must fall before the level is left; less than the gaps between levels.
                 * @default 0.03
                 */
                hysteresis_ratio: number;
                /**
                 * Format: double
                 * @description How long use must stay up before the level rises.
                 * @default 2
                 */
                rise_dwell_seconds: number;
                /**
                 * Format: double
                 * @description How long use must stay down before the level falls.
                 * @default 30
                 */
                fall_dwell_seconds: number;
            };
            /** @description How the Go memory limit is governed. */
            limit: {
                /**
                 * @description Derive the Go memory limit from the container's.
                 * @default true
                 */
                manage: boolean;
                /**
                 * Format: double
                 * @description Share of the container's limit, less the reserve, that the Go runtime may use.
                 * @default 0.9
                 */
                ratio: number;
                /**
                 * Format: int64
                 * @description Memory that the program uses outside the Go heap.
                 * @default 0
                 */
                off_heap_reserve_bytes: number;
                /**
                 * Format: int64
                 * @description Memory that the process may use where no container limits it; 0: none stated.
                 * @default 0
                 */
                memory_bytes: number;
            };
            /** @description What is done to the garbage collector. */
            gc: {
                /**
                 * @description Force a collection when pressure is high and there is garbage.
                 * @default true
                 */
                force_on_pressure: boolean;
                /**
                 * @description Return free heap to the operating system under pressure.
                 * @default true
                 */
                return_to_os: boolean;
                /**
                 * Format: double
                 * @description Shortest time between forced collections.
                 * @default 10
                 */
                min_interval_seconds: number;
                /**
                 * Format: double
                 * @description Longest back-off between forced collections; not below min_interval_seconds.
                 * @default 300
                 */
                max_interval_seconds: number;
                /**
                 * @description Raise a derived memory limit for a minute when the collector spirals.
                 * @default true
                 */
                relief: boolean;
                /**
                 * @description Tune GOGC to the memory that is left.
                 * @default false
                 */
                tuner: boolean;
                /**
                 * Format: double
                 * @description Share of the memory limit that the tuned heap may fill.
                 * @default 0.7
                 */
                tuner_threshold_ratio: number;
                /**
                 * Format: int64
                 * @description Lowest GOGC that the tuner sets.
                 * @default 50
                 */
                tuner_min_percent: number;
                /**
                 * Format: int64
                 * @description Highest GOGC that the tuner sets; not below tuner_min_percent.
                 * @default 500
                 */
                tuner_max_percent: number;
            };
            /** @description The detection of leaks. Another window_seconds or interval_seconds begins anew to watch, but that leaks that are suspected stay so until the new windows show what becomes of them. All else keeps what was seen. */
            leaks: {
                /**
                 * @description Watch for leaks of memory, goroutines, descriptors and threads.
                 * @default true
                 */
                enabled: boolean;
                /**
                 * @description Keep what was seen, and look at nothing; what is added meanwhile is not judged.
                 * @default false
                 */
                paused: boolean;
                /**
                 * Format: double
                 * @description How often it is looked; at least sixteen times in window_seconds, if that is more often. A change begins anew to watch; what is suspected stays so.
                 * @default 5
                 */
                interval_seconds: number;
                /**
                 * Format: double
                 * @description Shortest window that growth is judged in; the others are 3, 18 and 72 times as long. A change begins anew to watch; what is suspected stays so.
                 * @default 1200
                 */
                window_seconds: number;
                /**
                 * Format: double
                 * @description What each of two short windows on end must add, as a share of what was there. A change keeps what was seen, and judges it.
                 * @default 0.2
                 */
                min_rise_ratio: number;
                /**
                 * @description Take heap snapshots of what is suspected, and of what is confirmed. Where no directory is set for them, they are kept in one of the program's own among temporary files (Linux).
                 * @default false
                 */
                snapshots: boolean;
                /**
                 * @description Ask the runtime (Go 1.27 and later) for goroutines that nothing can wake any more.
                 * @default true
                 */
                goroutine_profile: boolean;
                /**
                 * Format: int64
                 * @description Collections that a tracked object may outlive once it was released; 0: none is reported.
                 * @default 3
                 */
                track_collections: number;
                /**
                 * @description Clean up after a leak that is confirmed, or suspected at high pressure; what came of it is among the actions of the leak.
                 * @default false
                 */
                auto_cleanup: boolean;
            };
        };
        /** @description A JSON merge patch (RFC 7396) of Config: what is left out stays, null returns to the start-up value. Ranges are those of Config. */
        ConfigPatch: {
            sampling?: {
                /** Format: double */
                interval_seconds?: number | null;
                /** Format: double */
                slow_interval_seconds?: number | null;
            } | null;
            pressure?: {
                /** Format: double */
                elevated_ratio?: number | null;
                /** Format: double */
                high_ratio?: number | null;
                /** Format: double */
                critical_ratio?: number | null;
                /** Format: double */
                hysteresis_ratio?: number | null;
                /** Format: double */
                rise_dwell_seconds?: number | null;
                /** Format: double */
                fall_dwell_seconds?: number | null;
            } | null;
            limit?: {
                manage?: boolean | null;
                /** Format: double */
                ratio?: number | null;
                /** Format: int64 */
                off_heap_reserve_bytes?: number | null;
                /** Format: int64 */
                memory_bytes?: number | null;
            } | null;
            gc?: {
                force_on_pressure?: boolean | null;
                return_to_os?: boolean | null;
                /** Format: double */
                min_interval_seconds?: number | null;
                /** Format: double */
                max_interval_seconds?: number | null;
                relief?: boolean | null;
                tuner?: boolean | null;
                /** Format: double */
                tuner_threshold_ratio?: number | null;
                /** Format: int64 */
                tuner_min_percent?: number | null;
                /** Format: int64 */
                tuner_max_percent?: number | null;
            } | null;
            leaks?: {
                enabled?: boolean | null;
                paused?: boolean | null;
                /** Format: double */
                interval_seconds?: number | null;
                /** Format: double */
                window_seconds?: number | null;
                /** Format: double */
                min_rise_ratio?: number | null;
                snapshots?: boolean | null;
                goroutine_profile?: boolean | null;
                /** Format: int64 */
                track_collections?: number | null;
                auto_cleanup?: boolean | null;
            } | null;
        };
        ConfigAudit: {
            /** @description Newest first. Without a store at most 100 are kept. */
            changes: components["schemas"]["ConfigChange"][];
        };
        /** @description One version of the configuration. */
        ConfigChange: {
            /**
             * Format: int64
             * @description The version that the change made.
             */
            version: number;
            /**
             * Format: date-time
             * @description When.
             */
            at: string;
            /** @description Who asked for it. */
            actor: string;
            /** @description From which address; absent when it did not come over a network. */
            peer?: string;
            patch: components["schemas"]["ConfigPatch"];
            overrides: components["schemas"]["ConfigPatch"];
        };
        CleanupTasks: {
            /** @description By name; at most 256. */
            tasks: components["schemas"]["CleanupTask"][];
        };
        /** @description A task's settings and what has become of it. */
        CleanupTask: {
            /** @description Unique in the process. */
            name: string;
            /**
             * Format: double
             * @description Time from the end of a run to the next by schedule; absent when it has none.
             */
            interval_seconds?: number;
            /**
             * @description Pressure level that makes it run; absent when none does.
             * @enum {string}
             */
            at_level?: "elevated" | "high" | "critical";
            /** @description It runs after a leak was found. */
            on_leak: boolean;
            /** @description It runs at shutdown. */
            at_shutdown: boolean;
            /**
             * Format: int64
             * @description Orders tasks that are due at the same time; higher first.
             */
            priority: number;
            /**
             * Format: double
             * @description When a run is told to end.
             */
            timeout_seconds: number;
            /**
             * Format: date-time
             * @description Absent when it does not run.
             */
            running_since?: string;
            /** @description The run under way was told to end and has not. */
            stuck: boolean;
            /**
             * Format: date-time
             * @description By schedule; absent when there is none.
             */
            next_run_at?: string;
            last_result?: components["schemas"]["CleanupResult"];
            /**
             * Format: int64
             * @description Failures since the last success.
             */
            consecutive_failures: number;
            /**
             * Format: int64
             * @description Runs since the task was added.
             */
            runs_total: number;
            /**
             * Format: int64
             * @description Runs that failed, timeouts and panics among them.
             */
            failures_total: number;
            /**
             * Format: int64
             * @description Runs that had not returned by the timeout.
             */
            timeouts_total: number;
            /**
             * Format: int64
             * @description Runs that panicked.
             */
            panics_total: number;
            /**
             * Format: int64
             * @description Bytes that it says it freed.
             */
            freed_bytes_total: number;
        };
        /** @description What became of one run. */
        CleanupResult: {
            /** @description Its name. */
            task: string;
            /**
             * @description Why it ran.
             * @enum {string}
             */
            trigger: "schedule" | "pressure" | "manual" | "shutdown";
            /**
             * Format: date-time
             * @description When it began.
             */
            at: string;
            /**
             * Format: int64
             * @description Bytes that the task says it freed; 0 also where it does not know.
             */
            freed_bytes: number;
            /** @description It had not returned by its timeout. */
            timed_out: boolean;
            /** @description It panicked. */
            panicked: boolean;
            /**
             * Format: double
             * @description How long it took.
             */
            duration_seconds: number;
            /** @description Why it failed; absent when it did not. */
            error?: string;
        };
        /** @description The heap snapshots that are kept. */
        Snapshots: {
            /** @description Newest first. */
            snapshots: components["schemas"]["Snapshot"][];
        };
        /** @description The incident bundles that are kept, and how the run before this one has ended. */
        Incidents: {
            /** @description Newest first. */
            incidents: components["schemas"]["Incident"][];
            previous_run?: components["schemas"]["PreviousRun"];
        };
        /** @description How the run before this one has ended. Absent if there was none. */
        PreviousRun: {
            /**
             * Format: date-time
             * @description When it began.
             */
            started_at: string;
            /** @description Its process id. */
            pid: number;
            /**
             * @description Closed in order; not closed, and the kernel has killed for memory in its control group; not closed, and it has not; not closed, and that is not known, as in another control group.
             * @enum {string}
             */
            ended: "closed" | "killed_for_memory" | "not_closed" | "unknown";
            /**
             * Format: int64
             * @description How many processes of its control group the kernel has killed for memory since it was last looked; absent where that is not known.
             */
            oom_kills?: number;
            /** @description The ids of the bundles that it has written and that are still kept, newest first. */
            bundles: string[];
        };
        /** @description Why somebody wants a bundle. */
        IncidentRequest: {
            /** @description It is kept in the bundle, as one line of at most 1000 bytes. */
            reason?: string;
        };
        /** @description Evidence that was written to disk. */
        Incident: {
            /** @description The form of the manifest. */
            version: number;
            /** @description Its name. */
            id: string;
            /**
             * Format: date-time
             * @description When it was begun.
             */
            at: string;
            /** @description Nothing more comes. Without it, either parts are still taken, or the process has died meanwhile. */
            complete: boolean;
            /** @description Why it was written, with what the rule was given and what it made of it. */
            cause: {
                /** @description What fired: high_water, growth, growth_unproven, manual, or leak_cleanup before a leak is cleaned up after; unknown of a bundle whose process died before it could say. */
                rule: string;
                /** @description The reason, for people. */
                reason: string;
                /** @description How much was to be written: whole, quick or smallest. */
                extent: string;
                /**
                 * Format: int64
                 * @description What no collection gives back, as far as the last one has told.
                 */
                used_bytes: number;
                /**
                 * Format: int64
                 * @description What counts against the limit.
                 */
                total_bytes: number;
                /**
                 * Format: int64
                 * @description Where the process would be killed.
                 */
                limit_bytes: number;
                /**
                 * Format: int64
                 * @description What no collection would give back, the growth since the last one included.
                 */
                estimated_bytes: number;
                /**
                 * Format: double
                 * @description The pace of that.
                 */
                growth_bytes_per_second: number;
                /**
                 * Format: double
                 * @description When the limit would have been reached; absent where nothing grew.
                 */
                seconds_to_limit?: number;
                /**
                 * Format: int64
                 * @description How many had ended.
                 */
                collections: number;
                /** @description What has grown most since the detection of leaks began, or since a day ago, whatever its rules make of it: allocation sites, and goroutines with one stack, or how many there are where they are too many. What was suspected in this run and is dismissed is left out. Absent where nothing is known, or where the room up to the limit is too small to look. */
                growing?: string[];
            };
            /** @description Who wrote it. */
            program: {
                /** @description The base name of the program. */
                executable: string;
                /** @description Of its main module; may be empty. */
                version: string;
                /** @description Of its toolchain. */
                go_version: string;
                /** @description Operating system and processor. */
                platform: string;
                /** @description Its process id. */
                pid: number;
                /**
                 * Format: date-time
                 * @description When its warden began.
                 */
                started_at: string;
            };
            /** @description The files that it has. */
            parts: {
                /** @description The name of the file. */
                name: string;
                /** @description What it is, for people. */
                what: string;
                /**
                 * Format: int64
                 * @description Its size.
                 */
                bytes: number;
                /**
                 * Format: date-time
                 * @description When it was finished.
                 */
                at: string;
                /**
                 * Format: double
                 * @description How long it took.
                 */
                took_seconds: number;
            }[];
            /** @description The files that it has not. */
            missing: {
                /** @description The name that the file would have. */
                name: string;
                /** @description Why it is missing. */
                reason: string;
            }[];
            /** @description The files that may yet come; absent if there are none. */
            pending?: string[];
            /**
             * Format: int64
             * @description What its files take on disk.
             */
            bytes: number;
            /** @description What is wrong with it: a manifest that cannot be read, a file that is not as it was written. Absent if nothing is. */
            damage?: string;
        };
        /** @description What a page has to tell, in at most 64 KiB. */
        FrontendReport: {
            /** @enum {integer} */
            schema: 1;
            /** @description The release of the frontend. */
            release?: string;
            /** @description The page, without what is secret in its address. */
            page?: string;
            /**
             * Format: date-time
             * @description When it was sent, by the browser's clock.
             */
            sent_at: string;
            /** @description What happened. */
            items: (components["schemas"]["FiguresItem"] | components["schemas"]["ComponentsItem"] | components["schemas"]["WarningItem"] | components["schemas"]["LeakItem"] | components["schemas"]["MonitorOffItem"] | components["schemas"]["OwnItem"])[];
        };
        /** @description The figures of a page. */
        FiguresItem: {
            /** @enum {string} */
            kind: "figures";
            /**
             * Format: date-time
             * @description When, by the browser's clock.
             */
            at: string;
            /**
             * Format: double
             * @description The time that they are of, since those before.
             */
            ms: number;
            /** @description The newest reading of the heap; absent where the browser offers none. */
            heap?: {
                /**
                 * @description agent: what the browser says that all of the page takes; engine: the JavaScript heap, coarsely. They are never compared.
                 * @enum {string}
                 */
                source: "agent" | "engine";
                /**
                 * Format: int64
                 * @description What is used.
                 */
                bytes: number;
                /**
                 * Format: int64
                 * @description What may be used, where the engine tells.
                 */
                limit_bytes?: number;
                /**
                 * Format: double
                 * @description When it was read, in milliseconds since 1970.
                 */
                at?: number;
            } & {
                [key: string]: unknown;
            };
            long_tasks?: components["schemas"]["FrontendBlocking"];
            long_frames?: components["schemas"]["FrontendBlocking"];
            /** @description Caches, by name, of at most 256 bytes; at most 500. */
            caches?: {
                [key: string]: components["schemas"]["FrontendCache"];
            };
            self?: components["schemas"]["FrontendSelf"];
            /** @description Items that were lost on the way since the page was loaded. */
            dropped?: number;
        } & {
            [key: string]: unknown;
        };
        /** @description What has blocked the page since the figures before. */
        FrontendBlocking: {
            /** @description How often. */
            count: number;
            /**
             * Format: double
             * @description For how long together.
             */
            total_ms: number;
            /**
             * Format: double
             * @description The longest since the page was loaded.
             */
            longest_ms: number;
        } & {
            [key: string]: unknown;
        };
        /** @description A cache of the page. */
        FrontendCache: {
            /** @description Entries. */
            entries: number;
            /** @description Those that nobody uses. */
            inactive?: number;
            /**
             * Format: double
             * @description An estimate.
             */
            bytes?: number;
            /** @description Those that are never given up by themselves. */
            never_collected?: number;
        } & {
            [key: string]: unknown;
        };
        /** @description What the monitor itself took of the page's time. */
        FrontendSelf: {
            /**
             * Format: double
             * @description In all, since the page was loaded.
             */
            ms: number;
            /**
             * Format: double
             * @description Of the time since it was looked at last, from 0 to 1.
             */
            share: number;
            /** @description Whether it has turned itself off. */
            off?: boolean;
        } & {
            [key: string]: unknown;
        };
        /** @description Components, and what has happened to them since the report before. */
        ComponentsItem: {
            /** @enum {string} */
            kind: "components";
            /**
             * Format: date-time
             * @description When, by the browser's clock.
             */
            at: string;
            /** @description One of each name. */
            components: ({
                /** @description Their name. */
                name: string;
                /** @description Commits that carried one. */
                commits: number;
                /** @description How many were mounted. */
                mounts: number;
                /** @description How many were removed; pages of earlier releases do not tell. */
                unmounts?: number;
                /** @description How many are mounted now, and not hidden. */
                live: number;
                /** @description Commits that a Profiler has timed. */
                timed: number;
                /**
                 * Format: double
                 * @description What these took, each from the beginning of its render.
                 */
                total_ms: number;
                /**
                 * Format: double
                 * @description The longest since the page was loaded.
                 */
                longest_ms: number;
            } & {
                [key: string]: unknown;
            })[];
        } & {
            [key: string]: unknown;
        };
        /** @description A figure that is above its threshold. */
        WarningItem: {
            /** @enum {string} */
            kind: "warning";
            /**
             * Format: date-time
             * @description When, by the browser's clock.
             */
            at: string;
            /** @description Its kind: slow_commit, many_commits, growing_instances, growing_heap or growing_cache. */
            warning: string;
            /** @description The component or cache that it is about, or the source of the heap's readings. */
            subject: string;
            /**
             * Format: double
             * @description The figure.
             */
            value: number;
            /**
             * Format: double
             * @description What it is above.
             */
            threshold: number;
        } & {
            [key: string]: unknown;
        };
        /** @description What is not collected although it should be. */
        LeakItem: {
            /** @enum {string} */
            kind: "leak";
            /**
             * Format: date-time
             * @description When, by the browser's clock.
             */
            at: string;
            /**
             * @description components, elements that were removed, or objects that the page tracks
             * @enum {string}
             */
            what: "component" | "dom" | "object";
            /** @description The component, that around the element, or the name given to the object. */
            name: string;
            /** @description The components above, the nearest first. */
            owners?: string[];
            /** @description How many were released. */
            released: number;
            /** @description How many of these are still there. */
            survivors: number;
            /** @description What probably holds them. */
            holders?: string[];
        } & {
            [key: string]: unknown;
        };
        /** @description The monitor has turned itself off because it took too much. */
        MonitorOffItem: {
            /** @enum {string} */
            kind: "monitor_off";
            /**
             * Format: date-time
             * @description When, by the browser's clock.
             */
            at: string;
            /**
             * Format: double
             * @description What it took of the page's time.
             */
            ms: number;
            /**
             * Format: double
             * @description Of the time since it was looked at last, from 0 to 1.
             */
            share: number;
            /** @description Whether it is off. */
            off?: boolean;
        } & {
            [key: string]: unknown;
        };
        /** @description An item of a page's own. */
        OwnItem: {
            /** @description What sort of thing happened. */
            kind: string;
            /**
             * Format: date-time
             * @description When it happened, by the browser's clock.
             */
            at: string;
        } & {
            [key: string]: unknown;
        };
        /** @description A report that is kept. */
        ReceivedReport: {
            /**
             * Format: int64
             * @description Its number; later ones are higher.
             */
            id: number;
        };
        /** @description Reports from pages. */
        FrontendReports: {
            /** @description Newest first. */
            reports: {
                /**
                 * Format: int64
                 * @description Its number.
                 */
                id: number;
                /**
                 * Format: date-time
                 * @description When it came, by the service's clock.
                 */
                received_at: string;
                report: components["schemas"]["FrontendReport"];
            }[];
        };
        /** @description What pages report of components. */
        FrontendComponents: {
            /** @description Of how many reports this is made. */
            reports: number;
            /**
             * Format: date-time
             * @description When the oldest of them came; absent if there are none.
             */
            since?: string;
            /** @description Whether none of the last 24 hours that is kept was left out for want of room. */
            complete: boolean;
            /** @description Reports that are kept and cannot be read, as an earlier version has let them through. */
            unreadable: number;
            /** @description How many rows there are, of which this is a part. */
            rows: number;
            /**
             * Format: int64
             * @description How often something was counted under (other) because there were too many rows.
             */
            folded: number;
            /** @description The highest of the chosen figure first. */
            components: {
                /** @description Their name; (other) is what is beyond the bound of a page or of this answer. */
                name: string;
                /** @description The release; empty: none was named. */
                release: string;
                /**
                 * Format: int64
                 * @description Commits that carried one.
                 */
                commits: number;
                /**
                 * Format: int64
                 * @description How many were mounted.
                 */
                mounts: number;
                /**
                 * Format: int64
                 * @description How many were removed, in pages that tell.
                 */
                unmounts: number;
                /**
                 * Format: double
                 * @description How many were there when a report was sent, on average.
                 */
                live_mean: number;
                /**
                 * Format: int64
                 * @description The most of them.
                 */
                live_max: number;
                /** @description What a Profiler has measured of commits, each from the beginning of its render; absent where none has. */
                timed?: {
                    /**
                     * Format: int64
                     * @description Commits that were timed.
                     */
                    commits: number;
                    /**
                     * Format: double
                     * @description What one took on average.
                     */
                    mean_ms: number;
                    /**
                     * Format: double
                     * @description The longest.
                     */
                    longest_ms: number;
                    /**
                     * Format: double
                     * @description All of them.
                     */
                    total_ms: number;
                };
                /** @description Reports that tell of it. */
                reports: number;
                /** @description Addresses of the pages that have sent these. */
                pages: number;
                /**
                 * Format: date-time
                 * @description When the first of these came, by the service's clock.
                 */
                first_seen: string;
                /**
                 * Format: date-time
                 * @description When the last of these came.
                 */
                last_seen: string;
            }[];
        };
        /** @description What pages report of each release. */
        FrontendReleases: {
            /** @description Of how many reports this is made. */
            reports: number;
            /**
             * Format: date-time
             * @description When the oldest of them came; absent if there are none.
             */
            since?: string;
            /** @description Whether none of the last 24 hours that is kept was left out for want of room. */
            complete: boolean;
            /** @description Reports that are kept and cannot be read, as an earlier version has let them through. */
            unreadable: number;
            /** @description How many rows there are, of which this is a part. */
            rows: number;
            /**
             * Format: int64
             * @description How often something was counted under (other) because there were too many rows.
             */
            folded: number;
            /** @description The one that was seen last first. */
            releases: {
                /** @description The release; empty: none was named. */
                release: string;
                /** @description Readings of the heap, by source: they measure different things. One reading may be told of more than once. */
                heap: {
                    /**
                     * @description agent: what the browser says that all of the page takes; engine: the JavaScript heap.
                     * @enum {string}
                     */
                    source: "agent" | "engine";
                    /**
                     * Format: int64
                     * @description How many.
                     */
                    readings: number;
                    /**
                     * Format: int64
                     * @description Their mean.
                     */
                    mean_bytes: number;
                    /**
                     * Format: int64
                     * @description The highest.
                     */
                    max_bytes: number;
                }[];
                long_tasks: components["schemas"]["FrontendBlocked"];
                long_frames: components["schemas"]["FrontendBlocked"];
                /** @description How many warnings there were, by kind; kinds beyond 20 count as (other). */
                warnings: {
                    [key: string]: number;
                };
                /**
                 * Format: int64
                 * @description How often a leak was told of.
                 */
                leaks: number;
                /**
                 * Format: int64
                 * @description How often a monitor has turned itself off.
                 */
                monitor_off: number;
                /** @description Reports that tell of it. */
                reports: number;
                /** @description Addresses of the pages that have sent these. */
                pages: number;
                /**
                 * Format: date-time
                 * @description When the first of these came, by the service's clock.
                 */
                first_seen: string;
                /**
                 * Format: date-time
                 * @description When the last of these came.
                 */
                last_seen: string;
            }[];
        };
        /** @description What has blocked pages. */
        FrontendBlocked: {
            /**
             * Format: int64
             * @description How often.
             */
            count: number;
            /**
             * Format: double
             * @description For how long together.
             */
            total_ms: number;
            /**
             * Format: double
             * @description The longest.
             */
            longest_ms: number;
        };
        /** @description The leaks that pages report. */
        FrontendLeaks: {
            /** @description Of how many reports this is made. */
            reports: number;
            /**
             * Format: date-time
             * @description When the oldest of them came; absent if there are none.
             */
            since?: string;
            /** @description Whether none of the last 24 hours that is kept was left out for want of room. */
            complete: boolean;
            /** @description Reports that are kept and cannot be read, as an earlier version has let them through. */
            unreadable: number;
            /** @description How many rows there are, of which this is a part. */
            rows: number;
            /**
             * Format: int64
             * @description How often something was counted under (other) because there were too many rows.
             */
            folded: number;
            /** @description Those with most survivors first. */
            leaks: {
                /**
                 * @description components, elements that were removed, or objects that pages track
                 * @enum {string}
                 */
                what: "component" | "dom" | "object";
                /** @description The component, that around the element, or the name of the object. */
                name: string;
                /** @description The components above, the nearest first. */
                owners: string[];
                /**
                 * Format: int64
                 * @description How many were released.
                 */
                released: number;
                /**
                 * Format: int64
                 * @description How many of these are still there.
                 */
                survivors: number;
                /** @description What probably holds them. */
                holders: string[];
                /** @description The releases in which it was seen, at most 20. */
                releases: string[];
                /** @description Reports that tell of it. */
                reports: number;
                /** @description Addresses of the pages that have sent these. */
                pages: number;
                /**
                 * Format: date-time
                 * @description When the first of these came, by the service's clock.
                 */
                first_seen: string;
                /**
                 * Format: date-time
                 * @description When the last of these came.
                 */
                last_seen: string;
            }[];
        };
        /** @description What is thought of the process, and the leaks that were found. */
        Leaks: {
            verdict: components["schemas"]["LeakVerdict"];
            /**
             * Format: date-time
             * @description When it was looked at last; absent where nothing is: detection is off, or another process is watched.
             */
            checked_at?: string;
            /** @description Whether nothing is looked at for now; what is thought is that of checked_at. */
            paused: boolean;
            /** @description What is thought of each figure. */
            findings: components["schemas"]["LeakFinding"][];
            /** @description The leaks, newest first. */
            leaks: components["schemas"]["Leak"][];
            /** @description Why only leaks that go on are listed, on one page, as far as they were looked into and this instance does not know them to be dismissed: the reports cannot be read, or not within five seconds. Absent: all are. */
            incomplete?: string;
        };
        /** @description What is thought of a figure. */
        LeakFinding: {
            /**
             * @description The figure: the live heap less what owners account for, memory outside of the Go runtime's, or a number.
             * @enum {string}
             */
            kind: "heap" | "native" | "descriptors" | "threads" | "goroutines";
            verdict: components["schemas"]["LeakVerdict"];
            /** @description Why, for people. */
            reason: string;
            /**
             * @description What holds: two short windows on end that each added much; growth unlike any in the windows before; or growth for a long window.
             * @enum {string}
             */
            rule?: "fast" | "changed" | "sustained";
            /**
             * Format: double
             * @description Length of the window.
             */
            window_seconds?: number;
            /**
             * Format: date-time
             * @description When it was first suspected.
             */
            since?: string;
            /**
             * Format: double
             * @description What was held at the beginning, in bytes or as a number.
             */
            from?: number;
            /**
             * Format: double
             * @description What is held at the end.
             */
            to?: number;
            /**
             * Format: double
             * @description How fast it grows: in bytes a second, or in goroutines, threads or descriptors a second.
             */
            growth_per_second?: number;
            /**
             * Format: double
             * @description When `inputs.limit` is reached if it goes on like this; null: never, or not known.
             */
            time_to_limit_seconds: number | null;
            inputs: components["schemas"]["LeakInputs"];
        };
        /** @description What a finding was made from. What is not known is null. */
        LeakInputs: {
            /**
             * Format: double
             * @description What the figure is now, in bytes or as a number: of the heap what is live less `owned`.
             */
            value: number | null;
            /**
             * Format: double
             * @description Bytes of the live heap that owners account for within their bounds; 0 for other figures. Null where owners claim more than there is: then they are not believed, and nothing is taken off `value`.
             */
            owned: number | null;
            /**
             * Format: double
             * @description What the program says of its load, whose part is taken off.
             */
            load: number | null;
            /**
             * Format: double
             * @description Length of the window that the finding is about, or of the shortest one.
             */
            window_seconds: number;
            /**
             * Format: double
             * @description What the figure can grow to as all else stands: for memory by the limit that is nearest, for descriptors by that of the process.
             */
            limit: number | null;
        };
        /**
         * @description From less to worse; insufficient data for nearly two of the shortest windows, which the first rule takes.
         * @enum {string}
         */
        LeakVerdict: "insufficient data" | "healthy" | "watch" | "suspect" | "confirmed";
        /** @description A leak that was found. */
        Leak: {
            /**
             * Format: int64
             * @description Its number. 0 of a leak that could not be kept yet, on a list that is `incomplete`.
             */
            id: number;
            /** @description What leaks: a figure that grows (heap, native, descriptors, threads, goroutines), retained of objects that were released, abandoned_goroutines of goroutines that nothing can wake any more, connection_held, subscriptions, browser for what leaks in a page, or a kind of the program's own. */
            kind: string;
            /** @description The owner that it belongs to, as among the limits; empty: none, or it is not known. */
            owner: string;
            /** @description What leaks, for people. */
            sentence: string;
            /** @description Who took it, the one who took it first and its callers after it; at most 32. */
            alloc_stack: string[];
            /**
             * Format: date-time
             * @description Since when it leaks, as far as is known.
             */
            first_seen: string;
            /**
             * Format: date-time
             * @description When it was last seen to: of a leak that goes on, when it was looked at last.
             */
            last_seen: string;
            /** @description The same in all reports of one leak; empty: there is only this one. */
            case: string;
            /**
             * @description Suspect or confirmed is what was found, reported what a part of the program has told. What was acknowledged stays so when it is confirmed.
             * @enum {string}
             */
            status: "reported" | "suspect" | "confirmed" | "acknowledged" | "dismissed";
            /** @description The same for leaks of one kind at one place; empty: it is not known. */
            signature: string;
            /** @description What is held; empty: it is not known. */
            type: string;
            /** @description The way to it from a variable or goroutine; at most 24 steps. */
            path: string[];
            /**
             * Format: int64
             * @description What all of it holds: by a snapshot, and what the heap has grown by since while the leak goes on; 0: no snapshot shows it.
             */
            retained_bytes: number;
            /**
             * Format: double
             * @description How many bytes a second it grows by. Of what is counted, which is goroutines, threads and descriptors, it is how many of them a second, not bytes.
             */
            growth_bytes_per_second: number;
            /**
             * Format: double
             * @description When a limit is reached if it goes on like this; null: never, or not known.
             */
            time_to_limit_seconds: number | null;
            /** @description Where more is to be found, and what could not be found out. A leak of the heap that is confirmed has two snapshots, if both could be taken, whose difference tells what leaks: the newer one first. */
            evidence: string[];
            /** @description Where the snapshots and incident bundles can be downloaded, by admins, that evidence and actions name, as long as they are kept. */
            downloads: string[];
            /** @description What was done. */
            actions: string[];
        };
        /** @description A heap snapshot that is kept. */
        Snapshot: {
            /** @description Its name in paths and queries. */
            id: string;
            /**
             * Format: date-time
             * @description When the process stood still.
             */
            taken_at: string;
            /**
             * Format: int64
             * @description Bytes of the file.
             */
            bytes: number;
            /** @description Name of the program's file. */
            executable?: string;
            /** @description What it was built with, experiments included. */
            go_version?: string;
            /** @description How the process was frozen: fork for one that has done it itself. */
            method?: string;
            /**
             * Format: double
             * @description For how long the process stood still.
             */
            pause_seconds: number;
            /**
             * Format: int64
             * @description Objects that were allocated, garbage included.
             */
            objects: number;
            /**
             * Format: int64
             * @description Bytes of these objects.
             */
            heap_bytes: number;
            /** @description There is an analysis. */
            analyzed: boolean;
            /** @description Why there is none; absent while nobody has asked for it. */
            failure?: string;
            analysis?: components["schemas"]["HeapAnalysis"];
        };
        /** @description What has changed from one heap snapshot to another. */
        SnapshotComparison: {
            from: components["schemas"]["Snapshot"];
            to: components["schemas"]["Snapshot"];
            difference: components["schemas"]["HeapDifference"];
        };
        /**
         * @description What holds the memory. Sizes are those of the allocator's slots. Counts and sizes are of objects that are reached from
         *     roots, but for objects, bytes and edges. Retained is what would be freed with something. In a snapshot's record the
         *     lists have at most as many entries as its top says, those that retain most first.
         */
        HeapAnalysis: {
            /** @description What the program was built with, experiments included. */
            go_version: string;
            /** @description Its operating system, as GOOS. */
            os: string;
            /** @description Its processor, as GOARCH. */
            arch: string;
            /** @description Name of its file. */
            executable: string;
            /** @description The Go build ID of its file. */
            build_id?: string;
            /**
             * Format: int64
             * @description Number of the process.
             */
            pid: number;
            /**
             * Format: int64
             * @description When the process stood still, in nanoseconds since 1970.
             */
            taken_at_unix_nanoseconds: number;
            /** @description How it was frozen. */
            method: string;
            /**
             * Format: double
             * @description For how long it stood still.
             */
            pause_seconds: number;
            /**
             * Format: int64
             * @description Resident memory of the process; -1: not known.
             */
            rss_bytes: number;
            /**
             * Format: int64
             * @description Stacks of goroutines.
             */
            stack_bytes: number;
            /**
             * Format: int64
             * @description Objects that were allocated, garbage included.
             */
            objects: number;
            /**
             * Format: int64
             * @description Bytes of these.
             */
            bytes: number;
            /**
             * Format: int64
             * @description Objects that are reached from roots.
             */
            reached_objects: number;
            /**
             * Format: int64
             * @description Bytes of these.
             */
            reached_bytes: number;
            /**
             * Format: double
             * @description Share of bytes that is reached; the rest is garbage that was not yet collected.
             */
            reached_ratio: number;
            /**
             * Format: int64
             * @description Pointers between objects.
             */
            edges: number;
            /**
             * Format: int64
             * @description What the last completed collection marked; 0: not known.
             */
            runtime_live_bytes: number;
            /**
             * Format: double
             * @description reached_bytes of runtime_live_bytes: about 1 in a process at rest.
             */
            live_ratio: number;
            /**
             * Format: double
             * @description Share of reached_bytes whose type is known, exactly or inferred.
             */
            typed_ratio: number;
            /**
             * Format: double
             * @description Share of reached_bytes whose type is inferred.
             */
            inferred_ratio: number;
            /** @description The places that hold most. */
            suspects: components["schemas"]["HeapSuspect"][];
            /** @description The types of objects. */
            types: components["schemas"]["HeapType"][];
            /** @description How many types there are. */
            type_count: number;
            /** @description Variables and other places outside of the heap. */
            roots: components["schemas"]["HeapRoot"][];
            /** @description How many there are. */
            root_count: number;
            /** @description Objects that several roots or goroutines hold, so that no single one retains them; by type. */
            shared: components["schemas"]["HeapShared"][];
            /** @description Goroutines by what they run and wait for. */
            goroutines: components["schemas"]["HeapGoroutines"][];
            /** @description How many such groups there are. */
            goroutine_count: number;
            /** @description Strings and slices that keep much more than they use. */
            pins: components["schemas"]["HeapPin"][];
            /** @description What could not be read, and what that means, a sentence each. */
            warnings: string[];
        };
        /** @description A place that holds much. */
        HeapSuspect: {
            /** @description All of it in plain words. */
            sentence: string;
            /** @description What is held. */
            type: string;
            /**
             * Format: int64
             * @description How many objects of it.
             */
            count: number;
            /**
             * Format: int64
             * @description What they retain together.
             */
            retained_bytes: number;
            /**
             * Format: double
             * @description The share of that in all reached bytes.
             */
            share: number;
            /** @description From a root to the objects: the root's name, then fields and elements. */
            path: string[];
            /**
             * Format: double
             * @description The share of the objects that this path leads to.
             */
            path_share: number;
            /** @description Who holds the objects together; absent if one root retains them. */
            holders?: components["schemas"]["HeapHolder"][];
            /** @description Where most of the bytes were allocated, innermost frame first, as far as the runtime sampled it. */
            alloc_stack: string[] | null;
            /**
             * Format: double
             * @description The share of the sampled bytes that have this stack.
             */
            alloc_share: number;
            /** @description The types that hold most within it. */
            consumers: components["schemas"]["HeapType"][];
            /** @description The same in other snapshots of the program, also of another build. */
            signature: string;
        };
        /** @description Who holds some of a group of objects. */
        HeapHolder: {
            /** @description That of a root, goroutine, or object for one that is shared itself. */
            kind: string;
            /** @description A root, a goroutine, or a type that is shared itself. */
            name: string;
            /**
             * Format: int64
             * @description Pointers from it to objects of the group.
             */
            count: number;
        };
        /** @description A type of objects. */
        HeapType: {
            /** @description Such as main.Session. */
            name: string;
            /**
             * Format: int64
             * @description Objects of it.
             */
            count: number;
            /**
             * Format: int64
             * @description Bytes of these.
             */
            shallow_bytes: number;
            /**
             * Format: int64
             * @description What they retain; nothing counts twice.
             */
            retained_bytes: number;
        };
        /** @description Roots of one kind and name. */
        HeapRoot: {
            /** @description Such as global, stack or finalizer. */
            kind: string;
            /** @description The variable's, or of an unnamed word a segment or frame and an offset. */
            name: string;
            /**
             * Format: int64
             * @description What would be freed if it were cleared.
             */
            retained_bytes: number;
            /**
             * Format: int64
             * @description What it and others hold directly; no part of retained_bytes.
             */
            shared_bytes: number;
            /**
             * Format: int64
             * @description How many roots these are.
             */
            count: number;
            /** @description It may be no pointer at all. */
            conservative?: boolean;
        };
        /** @description Objects of one type that no single root or goroutine retains. */
        HeapShared: {
            /** @description Their type. */
            type: string;
            /**
             * Format: int64
             * @description How many they are.
             */
            count: number;
            /**
             * Format: int64
             * @description What they retain.
             */
            retained_bytes: number;
            /** @description How many hold them. */
            holder_count: number;
            /** @description Those that hold most of them. */
            holders: components["schemas"]["HeapHolder"][];
        };
        /** @description Goroutines that run the same function and are in the same state. */
        HeapGoroutines: {
            /** @description The innermost function that is not of the standard library, or the one that they began with. */
            function: string;
            /** @description Such as chan receive, select or running. */
            state: string;
            /** @description The function that started them. */
            created_by?: string;
            /**
             * Format: int64
             * @description How many they are.
             */
            count: number;
            /**
             * Format: int64
             * @description What one of them alone holds.
             */
            retained_bytes: number;
            /**
             * Format: int64
             * @description What they and others hold directly.
             */
            shared_bytes: number;
        };
        /** @description A string or slice that keeps a much larger object alive than it uses. */
        HeapPin: {
            /** @description Path or type of what holds it. */
            holder: string;
            /** @description Type of the object that is kept. */
            type: string;
            /**
             * Format: int64
             * @description Objects kept in this way.
             */
            count: number;
            /**
             * Format: int64
             * @description Bytes of them that are used.
             */
            used_bytes: number;
            /**
             * Format: int64
             * @description Bytes of them.
             */
            object_bytes: number;
        };
        /** @description What has changed from one analysis to another. Growths are after less before. */
        HeapDifference: {
            /**
             * Format: int64
             * @description When the first was taken, in nanoseconds since 1970.
             */
            before_taken_at_unix_nanoseconds: number;
            /**
             * Format: int64
             * @description When the second was taken, in nanoseconds since 1970.
             */
            after_taken_at_unix_nanoseconds: number;
            /**
             * Format: int64
             * @description Bytes that were reached in the first.
             */
            reached_bytes_before: number;
            /**
             * Format: int64
             * @description Bytes that are reached in the second.
             */
            reached_bytes_after: number;
            /**
             * Format: int64
             * @description Their difference.
             */
            reached_bytes_growth: number;
            /** @description The types whose figures have changed, those that grew most first. */
            types: components["schemas"]["HeapTypeChange"][];
            /** @description The suspects of either, by their signatures and, in one build, by their paths, those that grew most first. */
            suspects: components["schemas"]["HeapSuspectChange"][];
            /** @description Both analyses had all of their types. */
            complete: boolean;
        };
        /**
         * @description How something differs between two snapshots.
         * @enum {string}
         */
        HeapChange: "NEW" | "GREW" | "SHRANK" | "GONE" | "SAME";
        /** @description How a type has changed. */
        HeapTypeChange: {
            /** @description Such as main.Session. */
            name: string;
            change: components["schemas"]["HeapChange"];
            before: components["schemas"]["HeapType"];
            after: components["schemas"]["HeapType"];
            /**
             * Format: int64
             * @description Of its objects.
             */
            count_growth: number;
            /**
             * Format: int64
             * @description Of their bytes.
             */
            shallow_bytes_growth: number;
            /**
             * Format: int64
             * @description Of what they retain.
             */
            retained_bytes_growth: number;
        };
        /**
         * @description How a suspect has changed. Those that nothing tells apart count as one: counts, bytes and shares are sums, and the
         *     rest is that of the one that retains most.
         */
        HeapSuspectChange: {
            /** @description That of both. */
            signature: string;
            change: components["schemas"]["HeapChange"];
            before?: components["schemas"]["HeapSuspect"];
            after?: components["schemas"]["HeapSuspect"];
            /** @description Suspects that before is made of. */
            places_before: number;
            /** @description Suspects that after is made of. */
            places_after: number;
            /**
             * Format: int64
             * @description Of its objects.
             */
            count_growth: number;
            /**
             * Format: int64
             * @description Of what they retain.
             */
            retained_bytes_growth: number;
        };
        /** @description An event of the live stream, with its kind as type and its document as data. */
        LiveMessage: components["schemas"]["LiveSample"] | components["schemas"]["LivePressure"] | components["schemas"]["LiveLimit"] | components["schemas"]["LiveGC"] | components["schemas"]["LiveLeak"] | components["schemas"]["LiveLeakReport"] | components["schemas"]["LiveIncident"] | components["schemas"]["LiveConfig"];
        LiveSample: {
            /** @enum {string} */
            type: "sample";
            data: components["schemas"]["Stats"];
        };
        LivePressure: {
            /** @enum {string} */
            type: "pressure";
            data: components["schemas"]["PressureDecision"];
        };
        LiveLimit: {
            /** @enum {string} */
            type: "limit";
            data: components["schemas"]["LimitDecision"];
        };
        LiveGC: {
            /** @enum {string} */
            type: "gc";
            data: components["schemas"]["GCResult"];
        };
        LiveLeak: {
            /** @enum {string} */
            type: "leak";
            data: components["schemas"]["LeakFinding"];
        };
        LiveLeakReport: {
            /** @enum {string} */
            type: "leak_report";
            data: components["schemas"]["Leak"];
        };
        LiveIncident: {
            /** @enum {string} */
            type: "incident";
            data: components["schemas"]["IncidentEvent"];
        };
        LiveConfig: {
            /** @enum {string} */
            type: "config";
            data: components["schemas"]["ConfigEvent"];
        };
        /** @description An incident bundle was written; what is in it is for admins. */
        IncidentEvent: {
            /** @description Its name in paths. */
            id: string;
            /**
             * Format: date-time
             * @description When it was begun.
             */
            at: string;
            /** @description What fired: high_water, growth, growth_unproven, manual, or leak_cleanup before a leak is cleaned up after. */
            rule: string;
        };
        /** @description The configuration has changed. */
        ConfigEvent: {
            /**
             * Format: int64
             * @description The version in force now.
             */
            version: number;
            /**
             * Format: date-time
             * @description When it was made.
             */
            changed_at: string;
        };
        /** @description The first message of a WebSocket client where reads need the token. */
        LiveAuth: {
            /** @enum {string} */
            type: "auth";
            /** @description The admin token. */
            token: string;
        };
        /** @description An error (RFC 9457). */
        Problem: {
            /**
             * @description The kind of error; stable.
             * @enum {string}
             */
            type: "urn:memwarden:problem:bad-request" | "urn:memwarden:problem:unauthorized" | "urn:memwarden:problem:forbidden" | "urn:memwarden:problem:not-found" | "urn:memwarden:problem:method-not-allowed" | "urn:memwarden:problem:conflict" | "urn:memwarden:problem:precondition-failed" | "urn:memwarden:problem:body-too-large" | "urn:memwarden:problem:unsupported-media-type" | "urn:memwarden:problem:no-such-range" | "urn:memwarden:problem:too-many-requests" | "urn:memwarden:problem:internal" | "urn:memwarden:problem:unavailable";
            /** @description The status in words. */
            title: string;
            /** @description The HTTP status. */
            status: number;
            /** @description What is wrong here. */
            detail: string;
        };
        /** @description An error of fields of the body (RFC 9457). */
        InvalidProblem: {
            /**
             * @description The kind of error; stable.
             * @enum {string}
             */
            type: "urn:memwarden:problem:invalid";
            /** @description The status in words. */
            title: string;
            /**
             * @description The HTTP status.
             * @enum {integer}
             */
            status: 422;
            /** @description What is wrong here. */
            detail: string;
            /** @description Every field that cannot be used. */
            errors: {
                /** @description Its path, such as pressure.high_ratio. */
                field: string;
                /** @description What is wrong with it. */
                detail: string;
            }[];
        };
        Index: {
            /** @enum {string} */
            name: "memwarden";
            /** @description The service's version. */
            version: string;
            /** @description In the order of the documents. */
            routes: {
                /**
                 * @description Where it is GET, HEAD is answered too.
                 * @enum {string}
                 */
                method: "GET" | "POST" | "PATCH" | "DELETE" | "OPTIONS";
                /** @description Parts in braces stand for a name. */
                path: string;
                /**
                 * @description probe: everyone, without limit. read: everyone, within a rate, unless reads need the token. public: everyone, within a rate of its own. admin: who presents the token.
                 * @enum {string}
                 */
                access: "probe" | "read" | "public" | "admin";
            }[];
        };
    };
    responses: {
        /** @description Yes. */
        ProbePassed: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "text/plain": string;
                "application/json": components["schemas"]["HealthReport"];
                "application/health+json": components["schemas"]["HealthReport"];
            };
        };
        /** @description No. */
        ProbeFailed: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "text/plain": string;
                "application/json": components["schemas"]["HealthReport"];
                "application/health+json": components["schemas"]["HealthReport"];
            };
        };
        /** @description The configuration. */
        Config: {
            headers: {
                ETag: components["headers"]["ETag"];
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ConfigDocument"];
            };
        };
        /** @description The recording, sent as it is made. */
        Recording: {
            headers: {
                "Content-Disposition": components["headers"]["Content-Disposition"];
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/octet-stream": string;
            };
        };
        /** @description The query, a header or the body cannot be read; the detail says what. */
        BadRequest: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The admin token is missing or wrong. */
        Unauthorized: {
            headers: {
                /** @description The ways to send the token: Bearer and Basic. */
                "WWW-Authenticate": string;
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description No admin token is configured, so that nobody is admitted; or a page of another origin asks for a change. */
        Forbidden: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description There is nothing of this path or name. */
        NotFound: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The path does not know the method. */
        MethodNotAllowed: {
            headers: {
                /**
                 * @description The methods that it knows.
                 * @example GET, HEAD, PATCH
                 */
                Allow: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description It cannot be done as things are; the detail says why. */
        Conflict: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Another version than that of If-Match is in force. */
        PreconditionFailed: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body is larger than 65536 bytes. */
        BodyTooLarge: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The Content-Type of the body is not one that the operation takes. */
        UnsupportedMediaType: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Fields of the body have values that cannot be used; `errors` lists every one of them. */
        Invalid: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InvalidProblem"];
            };
        };
        /** @description More requests a second from one client than are answered. */
        TooManyRequests: {
            headers: {
                /** @description Seconds until the next request would be answered, rounded up. */
                "Retry-After": number;
                /** @description Requests that may come at once from one client, after a pause. */
                "RateLimit-Limit": number;
                /** @description Requests that would be answered at once. */
                "RateLimit-Remaining": number;
                /** @description Seconds until RateLimit-Limit of them are there again, rounded up. */
                "RateLimit-Reset": number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description A defect of the server; its log says more. */
        Internal: {
            headers: {
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description It cannot be done at the moment. The detail says why, Retry-After when to come back where that is known. */
        Unavailable: {
            headers: {
                "Retry-After": components["headers"]["Retry-After"];
                "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: {
        /** @description The number of a leak report. */
        LeakID: number;
        /** @description Only what reports of this release say; empty, those that name none. */
        ReleaseOf: string;
        /** @description How many rows to leave out. The next page leaves out those of this one, too. */
        Offset: number;
        /** @description How many rows at most. */
        Limit: number;
        /** @description Answer in lines for people, one for each check. Its value does not matter. */
        Verbose: string;
        /** @description How long to record. */
        Seconds: number;
        /** @description The bundle's id. */
        IncidentID: string;
        /** @description The snapshot's id. */
        SnapshotID: string;
    };
    requestBodies: never;
    headers: {
        /** @description Requests that may come at once from one client, after a pause. */
        "RateLimit-Limit": number;
        /** @description Requests that would be answered at once. */
        "RateLimit-Remaining": number;
        /** @description Seconds until RateLimit-Limit of them are there again, rounded up. */
        "RateLimit-Reset": number;
        /** @description Seconds until it is worth asking again, rounded up. */
        "Retry-After": number;
        /** @description The version of the configuration in force, quoted, for If-Match. */
        ETag: string;
        /** @description The snapshot's id, quoted, for If-Range. */
        SnapshotETag: string;
        /** @description That ranges of bytes can be asked for. */
        "Accept-Ranges": "bytes";
        /**
         * @description Which part this is, and how many bytes the file has.
         * @example bytes 0-1023/4096
         */
        "Content-Range": string;
        /** @description A name for the file; not with text. */
        "Content-Disposition": string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    getLiveness: {
        parameters: {
            query?: {
                /** @description Answer in lines for people, one for each check. Its value does not matter. */
                verbose?: components["parameters"]["Verbose"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["ProbePassed"];
            500: components["responses"]["Internal"];
            503: components["responses"]["ProbeFailed"];
        };
    };
    getReadiness: {
        parameters: {
            query?: {
                /** @description Answer in lines for people, one for each check. Its value does not matter. */
                verbose?: components["parameters"]["Verbose"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["ProbePassed"];
            500: components["responses"]["Internal"];
            503: components["responses"]["ProbeFailed"];
        };
    };
    getStartup: {
        parameters: {
            query?: {
                /** @description Answer in lines for people, one for each check. Its value does not matter. */
                verbose?: components["parameters"]["Verbose"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["ProbePassed"];
            500: components["responses"]["Internal"];
            503: components["responses"]["ProbeFailed"];
        };
    };
    getHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No check is down. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HealthReport"];
                    "application/health+json": components["schemas"]["HealthReport"];
                };
            };
            500: components["responses"]["Internal"];
            /** @description A check is down, or the process shuts down. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HealthReport"];
                    "application/health+json": components["schemas"]["HealthReport"];
                };
            };
        };
    };
    getStats: {
        parameters: {
            query?: {
                /** @description Resolution of the history: 1s reaches back 10 minutes, 10s for 6 hours, 1m for a week. Required with since and until. */
                history?: "1s" | "10s" | "1m";
                /**
                 * @description Points that begin at this time or later, as RFC 3339 or Unix seconds.
                 * @example 2026-01-02T15:04:05Z
                 */
                since?: string;
                /**
                 * @description Points that begin before this time, as RFC 3339 or Unix seconds. It must be after since.
                 * @example 1767366245
                 */
                until?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What the newest sample shows. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Stats"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            413: components["responses"]["BodyTooLarge"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getMemoryHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The level in force. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MemoryHealth"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            413: components["responses"]["BodyTooLarge"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getLimits: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The bounds of the container, the Go runtime and the owners of memory. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Limits"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            413: components["responses"]["BodyTooLarge"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listLeaks: {
        parameters: {
            query?: {
                /** @description Only leaks with a number below this one; the next page begins before the last of this page. */
                before?: number;
                /** @description How many leaks at most. */
                limit?: number;
                /** @description true: leaks in pages alone; false: all others. */
                browser?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The verdict and the leaks. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Leaks"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            413: components["responses"]["BodyTooLarge"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getLeak: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The number of a leak report. */
                id: components["parameters"]["LeakID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The leak. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Leak"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["BodyTooLarge"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    checkLeaks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description May be left out; there is nothing to say. */
        requestBody?: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            /** @description The verdict, and the newest leaks; those that go on where it is `incomplete`. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Leaks"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    acknowledgeLeak: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The number of a leak report. */
                id: components["parameters"]["LeakID"];
            };
            cookie?: never;
        };
        /** @description May be left out; there is nothing to say. */
        requestBody?: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            /** @description The leak as it is now. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Leak"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    dismissLeak: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The number of a leak report. */
                id: components["parameters"]["LeakID"];
            };
            cookie?: never;
        };
        /** @description May be left out; there is nothing to say. */
        requestBody?: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            /** @description The leak as it is now. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Leak"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    followLive: {
        parameters: {
            query?: never;
            header?: {
                /** @description websocket: the stream over WebSocket, with the other headers of its handshake (RFC 6455). */
                Upgrade?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The connection is a WebSocket from here on. */
            101: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The stream, until one side ends it. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    /** @description Tells proxies to pass on each event at once. */
                    "X-Accel-Buffering": "no";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example event: sample
                     *     data: {"at":"2026-01-02T15:04:05Z",…}
                     */
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            413: components["responses"]["BodyTooLarge"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The figures of the newest sample. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            429: components["responses"]["TooManyRequests"];
        };
    };
    getOpenAPI: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description This document. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/yaml": Record<string, never>;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            413: components["responses"]["BodyTooLarge"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["Unavailable"];
        };
    };
    listFrontendReports: {
        parameters: {
            query?: {
                /** @description Only reports with a number below this one; the next page begins before the last of this page. */
                before?: number;
                /** @description How many reports at most. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The reports. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FrontendReports"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    addFrontendReport: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "schema": 1,
                 *       "release": "1.4.0",
                 *       "page": "/cart",
                 *       "sent_at": "2026-01-02T15:05:00Z",
                 *       "items": [
                 *         {
                 *           "kind": "figures",
                 *           "at": "2026-01-02T15:04:59Z",
                 *           "ms": 60012,
                 *           "heap": {
                 *             "source": "engine",
                 *             "bytes": 48300000,
                 *             "limit_bytes": 4294705152,
                 *             "at": 1767366299000
                 *           },
                 *           "long_tasks": {
                 *             "count": 2,
                 *             "total_ms": 143,
                 *             "longest_ms": 88
                 *           },
                 *           "long_frames": {
                 *             "count": 0,
                 *             "total_ms": 0,
                 *             "longest_ms": 0
                 *           },
                 *           "caches": {
                 *             "queries": {
                 *               "entries": 120,
                 *               "inactive": 90
                 *             }
                 *           },
                 *           "self": {
                 *             "ms": 4.2,
                 *             "share": 0.0001,
                 *             "off": false
                 *           },
                 *           "dropped": 0
                 *         },
                 *         {
                 *           "kind": "components",
                 *           "at": "2026-01-02T15:04:59Z",
                 *           "components": [
                 *             {
                 *               "name": "Cart",
                 *               "commits": 31,
                 *               "mounts": 2,
                 *               "unmounts": 1,
                 *               "live": 1,
                 *               "timed": 31,
                 *               "total_ms": 210.5,
                 *               "longest_ms": 24
                 *             }
                 *           ]
                 *         },
                 *         {
                 *           "kind": "warning",
                 *           "at": "2026-01-02T15:04:30Z",
                 *           "warning": "slow_commit",
                 *           "subject": "Cart",
                 *           "value": 24,
                 *           "threshold": 16
                 *         },
                 *         {
                 *           "kind": "leak",
                 *           "at": "2026-01-02T15:04:40Z",
                 *           "what": "component",
                 *           "name": "Cart",
                 *           "owners": [
                 *             "Shop",
                 *             "App"
                 *           ],
                 *           "released": 60,
                 *           "survivors": 50,
                 *           "holders": [
                 *             "setInterval at tick (cart.js:7:3): 50 not removed"
                 *           ]
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["FrontendReport"];
                "text/plain": string;
            };
        };
        responses: {
            /** @description The report is kept. */
            201: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReceivedReport"];
                };
            };
            400: components["responses"]["BadRequest"];
            403: components["responses"]["Forbidden"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Invalid"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    mayAddFrontendReport: {
        parameters: {
            query?: never;
            header?: {
                /** @description Where the page is from, which the browser says. */
                Origin?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It may. */
            204: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    /** @description POST. */
                    "Access-Control-Allow-Methods"?: string;
                    /** @description Content-Type. */
                    "Access-Control-Allow-Headers"?: string;
                    /** @description For how many seconds the browser need not ask again. */
                    "Access-Control-Max-Age"?: number;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            403: components["responses"]["Forbidden"];
            413: components["responses"]["BodyTooLarge"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["Unavailable"];
        };
    };
    listFrontendComponents: {
        parameters: {
            query?: {
                /** @description Only what reports of this release say; empty, those that name none. */
                release?: components["parameters"]["ReleaseOf"];
                /** @description Only what has this name. */
                name?: string;
                /** @description The figure that is highest in the first row. Components that no Profiler has timed come last by those in ms. */
                sort?: "mean_ms" | "longest_ms" | "total_ms" | "commits" | "mounts" | "unmounts" | "live_max";
                /** @description How many rows to leave out. The next page leaves out those of this one, too. */
                offset?: components["parameters"]["Offset"];
                /** @description How many rows at most. */
                limit?: components["parameters"]["Limit"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The components. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "reports": 212,
                     *       "since": "2026-01-02T03:04:05Z",
                     *       "complete": true,
                     *       "unreadable": 0,
                     *       "rows": 1,
                     *       "folded": 0,
                     *       "components": [
                     *         {
                     *           "name": "Cart",
                     *           "release": "1.4.0",
                     *           "reports": 180,
                     *           "pages": 2,
                     *           "first_seen": "2026-01-02T03:04:05Z",
                     *           "last_seen": "2026-01-02T15:05:00Z",
                     *           "commits": 5310,
                     *           "mounts": 240,
                     *           "unmounts": 236,
                     *           "live_mean": 1.2,
                     *           "live_max": 4,
                     *           "timed": {
                     *             "commits": 5310,
                     *             "mean_ms": 6.8,
                     *             "longest_ms": 24,
                     *             "total_ms": 36108
                     *           }
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["FrontendComponents"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listFrontendReleases: {
        parameters: {
            query?: {
                /** @description Only what reports of this release say; empty, those that name none. */
                release?: components["parameters"]["ReleaseOf"];
                /** @description How many rows to leave out. The next page leaves out those of this one, too. */
                offset?: components["parameters"]["Offset"];
                /** @description How many rows at most. */
                limit?: components["parameters"]["Limit"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The releases. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "reports": 212,
                     *       "since": "2026-01-02T03:04:05Z",
                     *       "complete": true,
                     *       "unreadable": 0,
                     *       "rows": 1,
                     *       "folded": 0,
                     *       "releases": [
                     *         {
                     *           "release": "1.4.0",
                     *           "reports": 212,
                     *           "pages": 3,
                     *           "first_seen": "2026-01-02T03:04:05Z",
                     *           "last_seen": "2026-01-02T15:05:00Z",
                     *           "heap": [
                     *             {
                     *               "source": "engine",
                     *               "readings": 200,
                     *               "mean_bytes": 48300000,
                     *               "max_bytes": 91200000
                     *             }
                     *           ],
                     *           "long_tasks": {
                     *             "count": 41,
                     *             "total_ms": 4100,
                     *             "longest_ms": 212
                     *           },
                     *           "long_frames": {
                     *             "count": 12,
                     *             "total_ms": 900,
                     *             "longest_ms": 180
                     *           },
                     *           "warnings": {
                     *             "slow_commit": 9
                     *           },
                     *           "leaks": 1,
                     *           "monitor_off": 0
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["FrontendReleases"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listFrontendLeaks: {
        parameters: {
            query?: {
                /** @description Only what reports of this release say; empty, those that name none. */
                release?: components["parameters"]["ReleaseOf"];
                /** @description Only what has this name. */
                name?: string;
                /** @description How many rows to leave out. The next page leaves out those of this one, too. */
                offset?: components["parameters"]["Offset"];
                /** @description How many rows at most. */
                limit?: components["parameters"]["Limit"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The leaks. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "reports": 212,
                     *       "since": "2026-01-02T03:04:05Z",
                     *       "complete": true,
                     *       "unreadable": 0,
                     *       "rows": 1,
                     *       "folded": 0,
                     *       "leaks": [
                     *         {
                     *           "what": "component",
                     *           "name": "Cart",
                     *           "owners": [
                     *             "Shop",
                     *             "App"
                     *           ],
                     *           "released": 60,
                     *           "survivors": 50,
                     *           "holders": [
                     *             "setInterval at tick (cart.js:7:3): 50 not removed"
                     *           ],
                     *           "releases": [
                     *             "1.4.0"
                     *           ],
                     *           "reports": 4,
                     *           "pages": 1,
                     *           "first_seen": "2026-01-02T03:04:05Z",
                     *           "last_seen": "2026-01-02T15:05:00Z"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["FrontendLeaks"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    forceGC: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description May be left out. */
        requestBody?: {
            content: {
                "application/json": components["schemas"]["GCRequest"];
            };
        };
        responses: {
            /** @description What became of it. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GCResult"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    getConfig: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Config"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    patchConfig: {
        parameters: {
            query?: {
                /** @description Only check the change. The answer is the configuration as it would be, with the version as it is. */
                dry_run?: boolean;
            };
            header?: {
                /**
                 * @description The version that the change was made against, as GET gave it in ETag. Another version in force: 412. Left out, or *: whichever is in force.
                 * @example "3"
                 */
                "If-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/merge-patch+json": components["schemas"]["ConfigPatch"];
                "application/json": components["schemas"]["ConfigPatch"];
            };
        };
        responses: {
            200: components["responses"]["Config"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Invalid"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getConfigAudit: {
        parameters: {
            query?: {
                /** @description How many changes at most. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The changes. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConfigAudit"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listCleanupTasks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The tasks, by name. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CleanupTasks"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    runCleanupTask: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The task's name. */
                name: string;
            };
            cookie?: never;
        };
        /** @description May be left out; there is nothing to say. */
        requestBody?: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            /** @description What became of the run. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CleanupResult"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listSnapshots: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The snapshots, without their analyses. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Snapshots"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    takeSnapshot: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description May be left out; there is nothing to say. */
        requestBody?: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            /** @description The snapshot is kept. */
            201: {
                headers: {
                    /**
                     * @description Where it is found, relative to this path.
                     * @example snapshots/20260102T150405Z-0a1b2c3d
                     */
                    Location: string;
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Snapshot"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            /** @description More requests a second from one client than are answered, or the last snapshot was taken a moment ago. */
            429: {
                headers: {
                    /** @description Seconds until the next request would be answered, rounded up. */
                    "Retry-After": number;
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    compareSnapshots: {
        parameters: {
            query: {
                /** @description The id of the earlier snapshot. */
                from: string;
                /** @description The id of the later snapshot. */
                to: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The difference. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotComparison"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getSnapshot: {
        parameters: {
            query?: {
                /** @description How many entries the lists of the analysis have at most. */
                top?: number;
            };
            header?: never;
            path: {
                /** @description The snapshot's id. */
                id: components["parameters"]["SnapshotID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The snapshot. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Snapshot"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    deleteSnapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The snapshot's id. */
                id: components["parameters"]["SnapshotID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone. */
            204: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["Unavailable"];
        };
    };
    downloadSnapshot: {
        parameters: {
            query?: never;
            header?: {
                /** @description A part of the file, such as bytes=1048576-. Of several parts none is sent: the whole is. */
                Range?: string;
            };
            path: {
                /** @description The snapshot's id. */
                id: components["parameters"]["SnapshotID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. */
            200: {
                headers: {
                    "Content-Disposition": components["headers"]["Content-Disposition"];
                    "Accept-Ranges": components["headers"]["Accept-Ranges"];
                    ETag: components["headers"]["SnapshotETag"];
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            /** @description The part that was asked for. */
            206: {
                headers: {
                    "Content-Range": components["headers"]["Content-Range"];
                    "Content-Disposition": components["headers"]["Content-Disposition"];
                    "Accept-Ranges": components["headers"]["Accept-Ranges"];
                    ETag: components["headers"]["SnapshotETag"];
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            /** @description The file has no such range. */
            416: {
                headers: {
                    "Content-Range": components["headers"]["Content-Range"];
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    listIncidents: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The bundles. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Incidents"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    recordIncident: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["IncidentRequest"];
            };
        };
        responses: {
            /** @description The bundle, as far as it is written. */
            201: {
                headers: {
                    /**
                     * @description Where it is, relative to this address.
                     * @example incidents/20260102T150405Z-0a1b2c3d
                     */
                    Location: string;
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Incident"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["BodyTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            /** @description More requests a second from one client than are answered, or the last bundle was asked for a moment ago. */
            429: {
                headers: {
                    /** @description Seconds until the next request would be answered, rounded up. */
                    "Retry-After": number;
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getIncident: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The bundle's id. */
                id: components["parameters"]["IncidentID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The bundle. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Incident"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    deleteIncident: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The bundle's id. */
                id: components["parameters"]["IncidentID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone. */
            204: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["Unavailable"];
        };
    };
    downloadIncident: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The bundle's id. */
                id: components["parameters"]["IncidentID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. */
            200: {
                headers: {
                    "Content-Disposition": components["headers"]["Content-Disposition"];
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/gzip": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listProfiles: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One profile a line, with the number of its entries. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooManyRequests"];
        };
    };
    recordCPUProfile: {
        parameters: {
            query?: {
                /** @description How long to record. */
                seconds?: components["parameters"]["Seconds"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Recording"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    recordTrace: {
        parameters: {
            query?: {
                /** @description How long to record. */
                seconds?: components["parameters"]["Seconds"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Recording"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    getRecentTrace: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The trace. */
            200: {
                headers: {
                    "Content-Disposition": components["headers"]["Content-Disposition"];
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
        };
    };
    getProfile: {
        parameters: {
            query?: {
                /** @description 0: as go tool pprof reads it; 1 and 2: as text for people. */
                debug?: number;
                /** @description 1: collect garbage before a profile of the heap. */
                gc?: number;
            };
            header?: never;
            path: {
                /** @description A name that the list of profiles has. */
                profile: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The profile. */
            200: {
                headers: {
                    "RateLimit-Limit": components["headers"]["RateLimit-Limit"];
                    "RateLimit-Remaining": components["headers"]["RateLimit-Remaining"];
                    "RateLimit-Reset": components["headers"]["RateLimit-Reset"];
                    "Content-Disposition": components["headers"]["Content-Disposition"];
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                    "text/plain": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getIndex: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The routes, with who may use them. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Index"];
                };
            };
        };
    };
}
