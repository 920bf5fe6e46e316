package main

import (
	"context"
	"io"
)

func initialise(args []string, stdout, stderr io.Writer) error                 { return nil }
func check(ctx context.Context, args []string, stdout, stderr io.Writer) error { return nil }
func importConfig(args []string, stdout, stderr io.Writer) error               { return nil }
