// Package bounded holds the parts of a service that may grow, each with a bound that it keeps.
//
// It knows nothing of the process, its limits or its pressure: the facade joins them through Owner.
package bounded

import "context"

// Owner is a part of a program that holds memory inside a bound of its own.
//
// What a registered Owner accounts for is reported by name, shown against its bound, asked to shrink under pressure,
// and never taken for a leak, as long as it is within its bound. Implementations must be safe for concurrent use; Usage
// is called about once a second and must neither block nor allocate.
type Owner interface {
	// Name identifies the owner in reports: lower case, stable across restarts, unique in the process.
	Name() string
	// Usage tells what is held now, the bound and the highest use so far.
	Usage() Usage
	// Shrink gives back about so many bytes, as far as that can be done at once, and returns what it freed.
	Shrink(ctx context.Context, bytes int64) (freed int64)
}

// NotApplicable marks a figure of Usage that does not exist for an owner; it is left out of reports.
const NotApplicable int64 = -1

// OutsideHeap is what an Owner implements too whose bytes are not on the Go heap: of files, or room that is only kept. What
// looks for leaks takes what owners account for off the live heap.
type OutsideHeap interface {
	Owner
	// OutsideHeap does nothing: to have it is the statement.
	OutsideHeap()
}

// Usage is what an Owner holds. A field is NotApplicable (−1) where the owner has no such figure.
type Usage struct {
	Entries     int64 // held now
	MaxEntries  int64 // bound
	PeakEntries int64 // highest so far
	Bytes       int64 // held now, the owner's own overhead included
	MaxBytes    int64 // bound
	PeakBytes   int64 // highest so far
}
