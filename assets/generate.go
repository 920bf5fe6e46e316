//go:build ignore

// The generator renders the SVG sources to the PNG files that are checked in: `go generate ./assets`.
package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"log"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/fyne-io/oksvg"
	"github.com/srwiley/rasterx"
)

func main() {
	app, err := os.ReadFile("icons/holdfast.svg")
	if err != nil {
		log.Fatal(err)
	}
	for _, size := range []int{16, 22, 24, 32, 48, 64, 128, 256, 512} {
		write(fmt.Sprintf("icons/holdfast-%d.png", size), app, 128, size)
	}
	frame, err := os.ReadFile("icons/tray.svg")
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range variants {
		svg := strings.NewReplacer("#0d7a85", v.tile, "#0b3c4f", v.edge, "#f6b84b", v.ring, "<!-- badge -->", v.badge).Replace(string(frame))
		write("icons/tray-"+v.name+".png", []byte(svg), 64, 64)
	}
}

// Each status differs from the others by its shape, too: colour alone says nothing to many people.
var variants = []struct{ name, tile, edge, ring, badge string }{
	{"protected", "#0d7a85", "#0b3c4f", "#f6b84b", disc("#2e9e5b") + `<path d="M 41 49.500 L 46.500 55 L 56 44" fill="none" stroke="#ffffff" stroke-width="4.500" stroke-linecap="round" stroke-linejoin="round"/>`},
	{"ready", "#0d7a85", "#0b3c4f", "#f6b84b", ""},
	{"working", "#1f6fd0", "#123f7a", "#ffd37a", disc("#ffffff") + `<path d="M 48.500 41 L 56 49.500 L 51 49.500 L 51 57 L 46 57 L 46 49.500 L 41 49.500 Z" fill="#1f6fd0"/>`},
	{"waiting", "#8a5a00", "#4d3300", "#ffd37a", disc("#ffffff") + `<path d="M 48.500 42.500 L 48.500 49.500 L 53.500 53" fill="none" stroke="#8a5a00" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/>`},
	{"attention", "#b3261e", "#611410", "#ffd0a8", disc("#ffffff") + `<path d="M 48.500 41.500 L 48.500 50" fill="none" stroke="#b3261e" stroke-width="5" stroke-linecap="round"/><circle cx="48.500" cy="56" r="2.700" fill="#b3261e"/>`},
	{"paused", "#4a5a66", "#27323a", "#d5dde2", disc("#ffffff") + `<path d="M 45 43.500 L 45 54.500 M 52 43.500 L 52 54.500" fill="none" stroke="#4a5a66" stroke-width="4.500" stroke-linecap="round"/>`},
	{"off", "#8b949a", "#525a60", "#c3c9cd", disc("#ffffff") + `<path d="M 44 45 L 53 54 M 53 45 L 44 54" fill="none" stroke="#6a7278" stroke-width="4.500" stroke-linecap="round"/>`},
}

func disc(fill string) string {
	return `<circle cx="48.500" cy="49.500" r="14.500" fill="#0b3c4f"/><circle cx="48.500" cy="49.500" r="12.500" fill="` + fill + `"/>`
}

// oksvg scales shapes to the target but not the strokes, so these are scaled in the source.
var strokeWidth = regexp.MustCompile(`stroke-width="([0-9.]+)"`)

func write(path string, svg []byte, side, size int) {
	svg = strokeWidth.ReplaceAllFunc(svg, func(m []byte) []byte {
		w, err := strconv.ParseFloat(string(strokeWidth.FindSubmatch(m)[1]), 64)
		if err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		return fmt.Appendf(nil, `stroke-width="%.4f"`, w*float64(size)/float64(side))
	})
	icon, err := oksvg.ReadIconStream(bytes.NewReader(svg), oksvg.StrictErrorMode)
	if err != nil {
		log.Fatalf("%s: %v", path, err)
	}
	icon.SetTarget(0, 0, float64(size), float64(size))
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	icon.Draw(rasterx.NewDasher(size, size, rasterx.NewScannerGV(size, size, img, img.Bounds())), 1)
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
