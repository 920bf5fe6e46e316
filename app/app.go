// Package app is the tray: a menu that shows what the companion says, and clicks that become its commands.
//
// The menu is a pure rendering of agent.State (Render). A thin driver applies the differences to the items of
// fyne.io/systray, which speaks D-Bus only: no display, no cgo, and no toolkit is needed. Everything else the
// package does is to hold a connection to a companion, to own the name im.holdfast.Holdfast so that a second start
// raises the first, and to notice a desktop without a tray.
//
// # Invariants
//   - All items are made once, before the icon is shown; afterwards only their properties change. Their ids stay,
//     so an open menu never loses a click.
//   - A click is handed on at once; nothing slow runs where clicks arrive.
//   - The tray speaks to a companion only through app/control, even to one in its own process.
//   - Without a companion the icon says so; the tray never guesses.
//
// # Concurrency
//
// fyne.io/systray keeps its state in package variables, so a process can Run at most one tray, once.
package app
