package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// logFile appends to a file that can be opened anew, for log rotation.
type logFile struct {
	mu sync.Mutex // guards all below
	w  io.Writer
	f  *os.File // nil: w is not ours
}

// Write is io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// open switches to the file, or to fallback if path is empty. On an error the old one stays.
func (l *logFile) open(path string, fallback io.Writer) error {
	var f *os.File
	if path != "" {
		err := os.MkdirAll(filepath.Dir(path), 0o750)
		if err != nil {
			return fmt.Errorf("make the folder of the log: %w", err)
		}
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640); err != nil {
			return fmt.Errorf("open the log: %w", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.f
	if l.f, l.w = f, fallback; f != nil {
		l.w = f
	}
	if old != nil {
		return old.Close()
	}
	return nil
}

func (l *logFile) close() error { return l.open("", io.Discard) }

// newLog returns a logger and the level that a reload can change.
func newLog(c logConfig, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(logLevel(c))
	o := &slog.HandlerOptions{Level: level}
	if c.Format.word == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), level
	}
	return slog.New(slog.NewTextHandler(w, o)), level
}

func logLevel(c logConfig) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(c.Level.word)) != nil {
		return slog.LevelInfo
	}
	return l
}
