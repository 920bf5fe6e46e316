package companion

import (
	"strings"
	"testing"

	"holdfast/app/words"
	"holdfast/relay"
)

func TestEveryReasonOfTheRelayIsWorded(t *testing.T) {
	for _, w := range []*words.Words{words.For("en"), words.For("de")} {
		for _, reason := range []string{
			relay.ReasonOffline, relay.ReasonNetwork, relay.ReasonBusy, relay.ReasonCertificate, relay.ReasonRefused, relay.ReasonGaveUp,
			relay.ReasonNoCopy, relay.ReasonClientGone, relay.ReasonCancelled, relay.ReasonStopped,
		} {
			u := uploadOf(relay.Upload{State: relay.Failed, Reason: reason, Host: "h.example", Detail: "what it said"}, w)
			unknown, _, _ := strings.Cut(w.Reason.Unknown, "%")
			if u.Error == "" || strings.HasPrefix(u.Error, unknown) && unknown != "" {
				t.Errorf("%s %s: %q", w.Lang, reason, u.Error)
			}
		}
	}
}

func TestAnUploadThatWorkedHasNoReason(t *testing.T) {
	u := uploadOf(relay.Upload{State: relay.Done, URL: "https://h.example/a?v2=x", UserAgent: "Dino/0.4.2"}, words.For("en"))
	if u.Error != "" || u.URL != "https://h.example/a" || u.Client != "Dino" {
		t.Errorf("%+v", u)
	}
}
