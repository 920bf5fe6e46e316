// Package e2e tests the whole way of an upload with real programs: XMPP servers, XMPP clients, curl, our binaries.
//
// The tests run in network, mount and process namespaces of their own, in which upload.lab.test is a name on
// loopback. They need root; everything they start ends with the namespaces.
//
// # Invariants
//   - Success means that the receiver has the same SHA-256, never only that a status code was right.
//   - The programs are driven as a person or another program would; a package is used to make slots, never to look inside.
package e2e
