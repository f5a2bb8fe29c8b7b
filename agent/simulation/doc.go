// Package simulation runs the whole agent, with the real client of HAProxy's Runtime API, in
// virtual time against made-up HAProxys and sources to which everything happens that can,
// and has the package oracle judge what comes of it. All of it is tests: `make simulate`
// runs many seeds.
//
// A wall clock that jumps while the agent runs is not in it: docs/proof.md says why, and what
// is tested in its place.
package simulation
