// Package desktop finds which Dino and Gajim are installed and running, and quits and starts them cleanly.
package desktop
