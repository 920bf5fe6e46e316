// Package cache plans, applies and undoes the reset of a client's rebuildable cache.
//
// # Invariants
//   - Nothing below a client's data or config folder is ever touched.
//   - Nothing is deleted: Apply moves aside, Undo restores byte for byte.
//   - Plan is a function of what lies on disk; it changes nothing.
package cache
