// Package launch starts Dino or Gajim so that uploads go through Holdfast, and so that the client starts in any case.
//
// Decide is a function of facts: what is run, with which environment, and what is to be reported. Run is the child
// process: its signals, its exit code and its standard error, where Dino says that it has lost its upload server.
//
// # Invariants
//   - A client is never given the relay as its proxy unless the relay answers and the client will trust it: half of
//     it would leave a person with a client that cannot upload.
//   - What is set is set for this one process. http_proxy never is.
//   - A client that runs already is only brought to the front.
//   - The environment is the caller's, with what was changed noted in it, so that it can be taken back.
package launch

import (
	"maps"
	"slices"
	"strings"

	"holdfast/relay/route"
)

// Facts are what a start depends on.
type Facts struct {
	Client  route.Client
	Flatpak bool     // Command runs it with flatpak
	Command []string // how it is started without Holdfast
	Args    []string
	Env     []string
	Self    string // this program, to start the client in the same way again

	Listen string // where the relay answers; "": nowhere
	PAC    bool   // a proxy script can be run

	Trusted bool   // the system's certificates have those of all upload servers
	Bundle  string // file with the system's certificates and ours, for this client alone; "": none
	Roots   string // the file that GnuTLS reads its certificates from, which the bundle takes the place of
	Bwrap   string // bubblewrap, if it works here

	Running bool // on the session bus
	Routed  bool // the running one was started with Holdfast
}

// Report is what is told of a start.
type Report string

// The reports. NotTrusted is only told to the person: the companion sees it by itself.
const (
	Fine         Report = ""
	Bypassed     Report = "bypassed"
	NeedsRestart Report = "needs-restart"
	NotTrusted   Report = "not-trusted"
)

// Start is what is run.
type Start struct {
	Argv    []string
	Env     []string
	Wrapped bool // Argv begins with bubblewrap, which tells the client's process through descriptor 3
	Report  Report
}

// Names of the variables that note what was changed.
const (
	launchedBy = "HOLDFAST_LAUNCHED" // this program
	nowSet     = "HOLDFAST_SET"      // names of variables, with commas between
	was        = "HOLDFAST_WAS_"     // and a name: its value before
)

// Decide says how to start a client.
func Decide(f Facts) Start {
	plain := Start{Argv: slices.Concat(f.Command, f.Args), Env: f.Env}
	switch {
	case f.Running:
		if !f.Routed {
			plain.Report = NeedsRestart
		}
		return plain
	case f.Listen == "":
		plain.Report = Bypassed
		return plain
	}
	set := f.Client.Environment(f.Listen, f.PAC)
	switch {
	case f.Trusted:
	case f.Bundle == "":
		plain.Report = NotTrusted
		return plain
	case f.Client.OwnHTTP:
		set["SSL_CERT_FILE"] = f.Bundle
	case f.Flatpak || f.Bwrap == "" || f.Roots == "":
		// A sandbox has certificates of its own, or the host's over p11-kit: a file of ours reaches neither.
		plain.Report = NotTrusted
		return plain
	default:
		argv := []string{f.Bwrap, "--dev-bind", "/", "/", "--ro-bind", f.Bundle, f.Roots, "--info-fd", "3", "--"}
		plain.Argv, plain.Wrapped = append(argv, plain.Argv...), true
	}
	plain.Env = with(f.Env, set, f.Self)
	if f.Flatpak {
		plain.Argv = slices.Concat(sandbox(f.Command, set), f.Args)
	}
	return plain
}

// with puts variables into an environment and notes what was there before.
func with(env []string, set map[string]string, self string) []string {
	var out []string
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case name == launchedBy || name == nowSet || strings.HasPrefix(name, was): // of a client that started this one
		case hasKey(set, name):
			out = append(out, was+name+"="+value)
		default:
			out = append(out, e)
		}
	}
	names := slices.Sorted(maps.Keys(set))
	for _, name := range names {
		out = append(out, name+"="+set[name])
	}
	return append(out, launchedBy+"="+self, nowSet+"="+strings.Join(names, ","))
}

func hasKey(m map[string]string, name string) bool {
	_, ok := m[name]
	return ok
}

// sandbox puts variables into `flatpak run`, and lets the sandbox read the bundle.
func sandbox(command []string, set map[string]string) []string {
	i := slices.Index(command, "run")
	if i < 0 {
		return command
	}
	out := slices.Clone(command[:i+1])
	for _, name := range slices.Sorted(maps.Keys(set)) {
		out = append(out, "--env="+name+"="+set[name])
	}
	if bundle := set["SSL_CERT_FILE"]; bundle != "" {
		out = append(out, "--filesystem="+bundle+":ro")
	}
	return append(out, command[i+1:]...)
}
