package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"holdfast/app/companion"
	"holdfast/app/control"
	"holdfast/app/words"
)

func (s *shell) route(ctx context.Context, args []string) error {
	fs := flags("route")
	asJSON := fs.Bool("json", false, "")
	mode := fs.String("mode", "", "")
	dryRun := fs.Bool("dry-run", false, "")
	rest, err := s.parse(fs, args, 1, 2, "status|install|remove")
	if err != nil {
		return err
	}
	if len(rest) == 2 {
		if rest[0] == "status" || *mode != "" {
			return usageError{"route", fmt.Sprintf(s.words.Ctl.TooMany, rest[1])}
		}
		*mode = rest[1]
	}
	svc, _, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	switch rest[0] {
	case "status":
		return s.routeStatus(ctx, svc, *asJSON)
	case "install":
		_, err := s.routeChange(ctx, svc, *mode, false, *dryRun, *asJSON)
		return err
	case "remove":
		return s.routeRemove(ctx, svc, *mode, *dryRun, *asJSON)
	}
	return usageError{"route", fmt.Sprintf(s.words.Ctl.UnknownVerb, "route "+rest[0])}
}

func (s *shell) routeStatus(ctx context.Context, svc control.Service, asJSON bool) error {
	doc, err := svc.RouteStatus(ctx)
	if err != nil {
		return err
	}
	return s.show(doc, asJSON, func() error {
		var d companion.RouteDocument
		if err := ask(&d)(doc, nil); err != nil {
			return err
		}
		s.say("%s", d.Text)
		if len(d.Modes) > 0 {
			for _, f := range d.Files {
				s.say("  %s", words.Plain(f, 0))
			}
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(d.Env)) {
			s.say("  "+s.words.Ctl.RouteEnv, name, d.Env[name])
		}
		s.say(s.words.Ctl.RoutePAC, d.PACURL)
		return nil
	})
}

// routeChange plans one way and does it, unless it is only to be shown.
func (s *shell) routeChange(ctx context.Context, svc control.Service, mode string, remove, dryRun, asJSON bool) (steps int, err error) {
	doc, err := svc.RoutePlan(ctx, mode, remove)
	if err != nil {
		return 0, err
	}
	var d companion.RoutePlanDocument
	if err := ask(&d)(doc, nil); err != nil {
		return 0, err
	}
	if !dryRun && len(d.Steps) > 0 {
		if doc, err = svc.RouteApply(ctx, d.PlanID); err != nil {
			return 0, err
		}
	}
	return len(d.Steps), s.show(doc, asJSON, func() error {
		if len(d.Steps) == 0 {
			s.say("%s", s.words.Setup.NothingToDo)
		} else if dryRun {
			s.say("%s", s.words.Setup.WouldDo)
		}
		for _, step := range d.Steps {
			what := words.Plain(step.Path, 0)
			if step.Mode != "" {
				what += " (" + step.Mode + ")"
			}
			if step.Value != "" {
				what += " = " + words.Plain(step.Value, 0)
			}
			s.say("  %-13s "+s.words.Setup.Step, step.Action, what, step.Text)
		}
		if d.Warning != "" {
			s.say("%s", d.Warning)
		}
		if dryRun || len(d.Steps) == 0 {
			return nil
		}
		if remove {
			s.say(s.words.Setup.RouteRemoved, d.Mode)
		} else {
			s.say(s.words.Setup.RouteDone, d.Mode)
		}
		s.say("%s", s.words.Setup.RestartClients)
		return nil
	})
}

// routeRemove undoes one way, or all.
func (s *shell) routeRemove(ctx context.Context, svc control.Service, mode string, dryRun, asJSON bool) error {
	if mode != "" {
		_, err := s.routeChange(ctx, svc, mode, true, dryRun, asJSON)
		return err
	}
	var d companion.RouteDocument
	if err := ask(&d)(svc.RouteStatus(ctx)); err != nil {
		return err
	}
	if len(d.Modes) == 0 {
		s.say("%s", s.words.Setup.NothingToDo)
	}
	for _, m := range slices.Backward(d.Modes) {
		if _, err := s.routeChange(ctx, svc, m, true, dryRun, asJSON); err != nil {
			return err
		}
	}
	return nil
}
