package main

import (
	"context"
	"fmt"
	"strings"

	"holdfast/app/companion"
	"holdfast/app/words"
)

// device makes this computer known to an upload server, or says whether it is.
func (s *shell) device(ctx context.Context, args []string) error {
	fs := flags("device")
	asJSON := fs.Bool("json", false, "")
	rest, err := s.parse(fs, args, 1, 2, "status | add HOST | remove HOST")
	if err != nil {
		return err
	}
	if rest[0] != "status" && len(rest) < 2 {
		return usageError{"device", fmt.Sprintf(s.words.Ctl.MissingArgument, "HOST")}
	}
	switch rest[0] {
	case "status":
		if len(rest) > 1 {
			return usageError{"device", fmt.Sprintf(s.words.Ctl.TooMany, rest[1])}
		}
		doc, err := companion.DeviceStatus(ctx, s.paths, s.words)
		if err != nil {
			return err
		}
		var d companion.DeviceDocument
		if err := ask(&d)(doc, nil); err != nil {
			return err
		}
		return s.show(doc, *asJSON, func() error {
			if len(d.Devices) == 0 {
				fmt.Fprintln(s.err, s.words.Ctl.NoHosts)
			}
			for _, l := range d.Devices {
				s.say("%s", words.Plain(l.Text, 0))
			}
			return nil
		})
	case "add":
		code, err := s.readSecret(s.words.Ctl.CodePrompt)
		if err != nil {
			return err
		}
		said, err := companion.AddDevice(ctx, s.paths, rest[1], strings.TrimSpace(string(code)), s.words)
		if err != nil {
			return err
		}
		s.say("%s", words.Plain(said, 0))
	case "remove":
		if err := companion.RemoveDevice(ctx, s.paths, rest[1], s.words); err != nil {
			return err
		}
		s.say(s.words.Ctl.DeviceRemoved, rest[1])
	default:
		return usageError{"device", fmt.Sprintf(s.words.Ctl.UnknownVerb, "device "+rest[0])}
	}
	return nil
}
