// Package clients tests an upload with the real Gajim and the real Dino of Debian, in real windows on a private screen.
//
// Files are sent through the clients' own user interface, as a person would. The servers are in a second network
// namespace behind two links, so that a network can really be taken away. Screenshots are kept in build/clients.
//
// # Invariants
//   - Success means that the receiver has the same SHA-256 and that it was the message which told it of the file.
//   - Everything runs as throw-away users inside of lab.Isolate; the machine's files and settings are not touched.
//   - What is waited for is an event that can be seen (a message, a window, a line of a log), with a deadline.
package clients
