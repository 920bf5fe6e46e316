// Package authority makes one name-constrained CA per listed host and the one leaf it signs.
//
// # Invariants
//   - A CA is good for one DNS name (critical name constraint), no address, path length 0.
//   - Its key is destroyed after the one leaf is signed.
package authority
