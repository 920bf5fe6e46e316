package main

import (
	"context"

	"holdfast/app/companion"
	"holdfast/app/words"
)

// uninstall undoes what Holdfast has changed for this person, step by step; it stops at the first that does not work.
func (s *shell) uninstall(ctx context.Context, args []string) error {
	fs := flags("uninstall")
	dryRun := fs.Bool("dry-run", false, "")
	if _, err := s.parse(fs, args, 0, 0, ""); err != nil {
		return err
	}
	svc, running, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	// The ways first: a client must never find Holdfast and not trust it.
	if err := s.routeRemove(ctx, svc, "", *dryRun, false); err != nil {
		return err
	}
	if err := s.trustRemove(ctx, *dryRun); err != nil {
		return err
	}
	for _, path := range s.paths.Login() {
		s.say("  "+s.words.Setup.Step, words.Plain(path, 0), s.words.Setup.LoginGone)
	}
	secrets := companion.Secrets(ctx, s.getenv)
	if *dryRun {
		if secrets {
			s.say("  %s", s.words.Setup.SecretGone)
		}
		return nil
	}
	if err := s.paths.RemoveLogin(); err != nil {
		return err
	}
	if secrets {
		if err := companion.RemoveSecrets(ctx, s.paths); err != nil {
			return err
		}
		s.say("  %s", s.words.Setup.SecretGone)
	}
	s.say("%s", s.words.Setup.Uninstalled)
	if running {
		s.say("%s", s.words.Setup.StillRuns)
	}
	return nil
}
