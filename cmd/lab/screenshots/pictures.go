package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// pictures takes them.
func (s *stage) pictures() error {
	for _, look := range []struct{ theme, file string }{{"light", "uploads.png"}, {"dark", "uploads-dark.png"}} {
		p := s.start(append(s.env, "FYNE_THEME="+look.theme), s.bin("holdfast"), "window", "uploads")
		id := strings.Fields(s.do("xdotool", "search", "--sync", "--onlyvisible", "--name", "Uploads - Holdfast"))[0]
		s.do("xdotool", "windowsize", "--sync", id, "720", "690")
		s.do("xdotool", "mousemove", "5", fmt.Sprint(screenHeight-5))
		s.rest(3 * shown) // a speed needs some seconds to be measured
		s.do("import", "-window", id, s.picture(look.file))
		s.must(p.Close(), "close the window")
	}
	s.do("xdotool", "mousemove", fmt.Sprint(screenWidth-16), "20")
	s.do("xdotool", "click", "1")
	s.rest(shown)
	s.do("xdotool", "mousemove", fmt.Sprint(screenWidth-120), "128")
	s.rest(shown)
	s.do("import", "-window", "root", "-crop", fmt.Sprintf("420x340+%d+0", screenWidth-420), "+repage", s.picture("tray-menu.png"))
	for _, name := range []string{"uploads.png", "uploads-dark.png", "tray-menu.png"} {
		st, err := os.Stat(s.picture(name))
		if err != nil {
			return err
		}
		s.Logf("%s  %d bytes", s.picture(name), st.Size())
	}
	return nil
}

func (s *stage) picture(name string) string { return filepath.Join(s.out, name) }
