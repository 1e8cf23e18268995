// Package published holds the detection of leaks against leaks that were published: releases of public modules with a
// leak that their maintainers have acknowledged, and the releases that mended it as controls.
//
// It knows the programs below testdata, each of which does with a module what the reports of its leak did. A program has
// one source and two lists of requirements, old.mod and fixed.mod, so that nothing differs but the releases. Nothing
// stands above.
//
//	go test .                a quick one
//	go test . -long          all
//	go test . -only NAME     the one of a program
//	go test . -only NAME -tidy   the same, and its lists of requirements are tidied
package published
