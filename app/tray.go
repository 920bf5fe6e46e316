package app

import (
	"context"
	"strings"
	"sync"

	"fyne.io/systray"

	"holdfast/assets"
)

// trayID is what desktops remember "always show" by. It is the SNI Id because it is the title while the item is
// made; without one the library takes the process number (seen with fyne.io/systray 1.12).
const trayID = "holdfast"

// tray applies menus to the notification area. Its methods are for one goroutine.
type tray struct {
	items map[Key]*systray.MenuItem
	now   Menu
	stop  func()
	wg    sync.WaitGroup
}

// showTray makes every item of m, shows the icon and sends the key of each click until ctx ends.
//
// Icon, tooltip and items are set before the item is exported: what is set while the library connects would be
// lost until the next change (seen as a stale icon right after login).
func showTray(ctx context.Context, m Menu, clicks chan<- Key) *tray {
	t := &tray{items: map[Key]*systray.MenuItem{}, now: m}
	systray.SetTitle(trayID)
	systray.SetTooltip(m.Tooltip)
	systray.SetIcon(assets.TrayIcon(string(m.Status)))
	for _, it := range m.Items {
		if it.Key == "" {
			systray.AddSeparator()
			continue
		}
		var item *systray.MenuItem
		if it.Checkable {
			item = systray.AddMenuItemCheckbox(label(it.Label), "", it.Checked)
		} else {
			item = systray.AddMenuItem(label(it.Label), "")
		}
		if !it.Enabled {
			item.Disable()
		}
		if !it.Visible {
			item.Hide()
		}
		t.items[it.Key] = item
		t.wg.Go(func() { forward(ctx, item.ClickedCh, it.Key, clicks) })
	}
	start, stop := systray.RunWithExternalLoop(nil, nil)
	t.stop = stop
	start()
	systray.SetTitle("Holdfast") // what a person reads; the Id stays
	return t
}

// forward takes clicks off the library's channel at once: it drops a click that nobody is waiting for.
func forward(ctx context.Context, clicked <-chan struct{}, key Key, clicks chan<- Key) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-clicked:
		}
		select {
		case clicks <- key:
		case <-ctx.Done():
			return
		}
	}
}

// apply shows m, touching only what differs.
func (t *tray) apply(m Menu) {
	old := map[Key]Item{}
	for _, it := range t.now.Items {
		old[it.Key] = it
	}
	for _, it := range Changed(t.now, m) {
		item, was := t.items[it.Key], old[it.Key]
		if it.Label != was.Label {
			item.SetTitle(label(it.Label))
		}
		switch {
		case it.Checked && !was.Checked:
			item.Check()
		case !it.Checked && was.Checked:
			item.Uncheck()
		}
		switch {
		case it.Enabled && !was.Enabled:
			item.Enable()
		case !it.Enabled && was.Enabled:
			item.Disable()
		}
		switch {
		case it.Visible && !was.Visible:
			item.Show()
		case !it.Visible && was.Visible:
			item.Hide()
		}
	}
	if m.Status != t.now.Status {
		systray.SetIcon(assets.TrayIcon(string(m.Status)))
	}
	if m.Tooltip != t.now.Tooltip {
		systray.SetTooltip(m.Tooltip)
	}
	t.now = m
}

// close takes the icon away. The context given to showTray must have ended.
func (t *tray) close() {
	t.stop()
	t.wg.Wait()
}

// label escapes the sign that dbusmenu reads as "the next letter is the access key".
func label(s string) string { return strings.ReplaceAll(s, "_", "__") }
