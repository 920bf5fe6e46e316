package e2e

import (
	"context"
	"testing"
	"time"

	"holdfast/cmd/lab"
)

// A real client uploads through the relay to the slot a real XMPP server signed; another client gets the message
// and downloads the file directly.
func TestXMPPUploadArrives(t *testing.T) {
	lab.Need(t, "go-sendxmpp", "go-sendxmpp")
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, ca, serverOptions{})
	comp := startCompanion(t, ca)
	trust := bundle(t, ca.File, comp.caFile(t))

	config := func(t *testing.T) lab.XMPPConfig {
		return lab.XMPPConfig{Dir: openDir(t), IP: xmppIP, UploadURL: srv.base, Secret: srv.secret, CA: ca}
	}
	t.Run("Prosody", func(t *testing.T) {
		lab.Need(t, "prosody", "prosody prosody-modules")
		x, err := lab.StartProsody(config(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		for _, c := range []struct{ name, domain string }{
			{"mod_http_upload_external v1", lab.ProsodyV1},
			{"mod_http_upload_external v2", lab.ProsodyV2},
			{"mod_http_file_share", lab.ProsodyShare},
		} {
			t.Run(c.name, func(t *testing.T) { sendAndReceive(t, x, c.domain, ca, comp, trust) })
		}
	})
	t.Run("ejabberd external_secret", func(t *testing.T) {
		lab.Need(t, "ejabberdctl", "ejabberd")
		x, err := lab.StartEjabberd(config(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		sendAndReceive(t, x, lab.EjabberdHost, ca, comp, trust)
	})
}

func sendAndReceive(t *testing.T, x *lab.XMPP, domain string, ca *lab.CA, comp *companion, trust string) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	const size = 3<<20 + 17
	file, want := randomFile(t, "holiday picture.jpg", size)
	before := len(comp.uploads(t))
	bob, err := x.Receive(t.TempDir(), x.Bob(domain), ca.File)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bob.Close() }()
	if err := x.SendFile(ctx, t.TempDir(), x.Alice(domain), x.Bob(domain).JID, file, trust, comp.proxy()); err != nil {
		t.Fatalf("%v\nserver:\n%s", err, x.Log())
	}
	got, err := bob.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA256 != want || got.Size != size {
		t.Errorf("the receiver has %d bytes with SHA-256 %s, sent were %d with %s", got.Size, got.SHA256, size, want)
	}
	if want := x.Alice(domain).JID; got.From != want {
		t.Errorf("the message is from %s, want %s", got.From, want)
	}
	list := comp.uploads(t)
	if len(list) != before+1 {
		t.Fatalf("%d uploads went through the relay, want 1", len(list)-before)
	}
	if u := list[0]; u.Host != uploadHost || u.State != "done" || u.Size != size {
		t.Errorf("the relay says of the upload: %+v", u)
	}
}
