// Package packages installs the Debian packages in a clean Debian 12, as an admin would, and takes them away again.
//
// It needs what `make package` built, in the folder that HOLDFAST_PACKAGES names, and root; `make package-test` runs it.
//
// # Invariants
//   - The Debian is a tree of its own, entered with chroot inside private namespaces; nothing of this machine is installed into.
//   - Nothing but proc is mounted into that tree, so that removing it removes nothing else.
package packages
