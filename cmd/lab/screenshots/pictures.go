package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// windows are the pictures of windows: name, title in English and German, size.
var windows = []struct {
	name, en, de  string
	width, height int
}{
	{"uploads", "Uploads - Holdfast", "Uploads - Holdfast", 720, 690},
	{"check", "Network check - Holdfast", "Netzprüfung - Holdfast", 660, 600},
	{"settings", "Settings - Holdfast", "Einstellungen - Holdfast", 640, 690},
	{"welcome", "Set up Holdfast", "Holdfast einrichten", 640, 520},
	{"about", "About Holdfast", "Über Holdfast", 540, 400},
}

// pictures takes them: every window in light and dark, English and German, then the menu.
func (s *stage) pictures() error {
	var files []string
	for _, w := range windows {
		for _, lang := range []struct{ locale, title, mark string }{{"C.UTF-8", w.en, ""}, {"de_DE.UTF-8", w.de, "-de"}} {
			for _, look := range []struct{ theme, mark string }{{"light", ""}, {"dark", "-dark"}} {
				file := w.name + lang.mark + look.mark + ".png"
				s.window(w.name, lang.title, file, w.width, w.height, "FYNE_THEME="+look.theme, "LANG="+lang.locale)
				files = append(files, file)
			}
		}
	}
	s.do("xdotool", "mousemove", fmt.Sprint(screenWidth-16), "20")
	s.do("xdotool", "click", "1")
	s.rest(shown)
	s.do("xdotool", "mousemove", fmt.Sprint(screenWidth-120), "128")
	s.rest(shown)
	s.do("import", "-window", "root", "-crop", fmt.Sprintf("420x430+%d+0", screenWidth-420), "+repage", s.picture("tray-menu.png"))
	for _, name := range append(files, "tray-menu.png") {
		st, err := os.Stat(s.picture(name))
		if err != nil {
			return err
		}
		s.Logf("%s  %d bytes", s.picture(name), st.Size())
	}
	return nil
}

// window opens one, takes its picture and closes it.
func (s *stage) window(name, title, file string, width, height int, env ...string) {
	p := s.start(append(slices.Clone(s.env), env...), s.bin("holdfast"), "window", name)
	id := strings.Fields(s.do("xdotool", "search", "--sync", "--onlyvisible", "--name", title))[0]
	s.do("xdotool", "windowsize", "--sync", id, fmt.Sprint(width), fmt.Sprint(height))
	s.do("xdotool", "mousemove", "5", fmt.Sprint(screenHeight-5))
	s.rest(3 * shown) // a speed needs some seconds to be measured, a network check to be answered
	s.do("import", "-window", id, s.picture(file))
	s.must(p.Close(), "close the window")
}

func (s *stage) picture(name string) string { return filepath.Join(s.out, name) }
