// Package holdfast keeps XMPP file uploads (XEP-0363) working when a notebook restarts, sleeps or changes network.
//
// This root package holds only what the programs embed; the programs are in cmd/.
package holdfast
