package published

// publishedLeak is a leak that somebody has published, and its end.
type publishedLeak struct {
	program    string // directory below testdata
	module     string
	old, fixed string // versions of the module: the last with the leak, or one of them, and the first without
	source     string // where it was published
	kind       string // of the report
	// holder is what the path of the report must have: not who allocated it. Goroutines have no path, but a stack.
	holder string
	quick  bool // is one of those that are looked at each time
}

// publishedLeaks are all there are, of different natures.
func publishedLeaks() []publishedLeak {
	return []publishedLeak{
		{
			program: "gorm", module: "gorm.io/gorm", old: "v1.25.8", fixed: "v1.25.12",
			source: "https://github.com/go-gorm/gorm/issues/7137",
			kind:   "heap", holder: ".ConnPool.PreparedSQL",
		},
		{
			program: "sessions", module: "github.com/gorilla/sessions", old: "v1.1.3", fixed: "v1.2.0",
			source: "https://github.com/gorilla/sessions/issues/122",
			kind:   "heap", holder: "context.data", quick: true,
		},
		{
			program: "otel", module: "go.opentelemetry.io/otel", old: "v1.29.0", fixed: "v1.30.0",
			source: "https://github.com/open-telemetry/opentelemetry-go/issues/5753",
			kind:   "heap", holder: "globalMeterProvider.mp.meters[…].instruments",
		},
		{
			program: "clientgolang", module: "github.com/prometheus/client_golang", old: "v1.11.0", fixed: "v1.11.1",
			source: "https://github.com/prometheus/client_golang/security/advisories/GHSA-cg3q-j54f-5p7p",
			kind:   "heap", holder: "MetricVec.metricMap.metrics",
		},
		{
			program: "ants", module: "github.com/panjf2000/ants/v2", old: "v2.7.0", fixed: "v2.7.1",
			source: "https://github.com/panjf2000/ants/issues/263",
			kind:   "goroutines", holder: "ants/v2.(*Pool).ticktock",
		},
		{
			program: "sarama", module: "github.com/Shopify/sarama", old: "v1.36.0", fixed: "v1.37.0",
			source: "https://github.com/IBM/sarama/pull/2340",
			kind:   "heap", holder: "go-metrics.arbiter.meters",
		},
		{
			program: "wazero", module: "github.com/tetratelabs/wazero", old: "v1.2.1", fixed: "v1.3.0",
			source: "https://github.com/wazero/wazero/issues/1534",
			kind:   "heap", holder: "finalizer of compiler.compiledModule",
		},
		{
			program: "watermill", module: "github.com/ThreeDotsLabs/watermill", old: "v1.4.7", fixed: "v1.5.1",
			source: "https://github.com/ThreeDotsLabs/watermill/issues/391",
			kind:   "heap", holder: "topics.subscribers",
		},
	}
}
