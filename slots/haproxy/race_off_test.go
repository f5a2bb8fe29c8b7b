//go:build !race

package haproxy_test

// raceDetector: the tests run with it, which takes many times the memory and the time.
const raceDetector = false
