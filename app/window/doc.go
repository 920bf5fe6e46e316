// Package window holds the Fyne windows: the list of uploads, and the questions before something stops.
//
// A window runs in a process of its own, so that the tray stays small, and is a client of the companion like any
// other view. What is shown is computed by pure functions of values (Rows, Head); the widgets only draw it.
//
// # Invariants
//   - Nothing is decided while drawing: Rows and Head are functions of the list, the state and the time.
//   - A name from outside is shown without control characters and never as markup.
//   - The only file written, beside caches of Fyne itself, is its preferences, and only for the size of the window.
//   - Every action of a window is in the tray menu or on the command line too: Fyne has no accessibility on Linux.
package window
