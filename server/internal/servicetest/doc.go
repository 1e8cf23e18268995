// Package servicetest runs the service for tests that look at it from outside: it builds the program, starts it with
// settings of a test's own, asks it over HTTP, and ends it in whichever way.
//
// It knows the command line, where the service says that it listens, and the few answers that several tests read. It does
// not know what is tested. The tests under server/tests stand above it; nothing that is shipped imports it.
package servicetest
