//go:build unix && race

package servicetest

// raceDetector tells whether the tests, and so the program under test, are built with it.
const raceDetector = true
