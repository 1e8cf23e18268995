//go:build unix && !race

package tests

// raceDetector tells whether the tests, and so the program under test, are built with it.
const raceDetector = false
