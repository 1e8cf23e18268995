// Package archtest holds the rules that the whole repository keeps, as tests: who may import whom, who may read the
// clock and the environment, what a module may require, what every package and document owes its reader.
//
// It knows the repository's files and the go command's view of them, and nothing of what the packages do. Nothing
// imports it. Each rule is one line of a table with its reason; a line fails when what it rules or excuses is no
// longer there. The package also writes docs/api, the exported API of the library:
//
//	go test ./internal/archtest -run API -update
package archtest
