package words

import (
	"fmt"
	"strings"
	"time"

	"holdfast/app/agent"
)

// Upload is what is said about one upload.
type Upload struct {
	Receiving, Sending, Waiting, Done, Failed, Cancelled string
	UnknownClient                                        string
	RepeatedOnce                                         string
	Repeated                                             string // %d times
	ResignedOnce                                         string
	Resigned                                             string // %d times
	Of                                                   string // %s of %s
	TheNetwork                                           string // without a name
	AheadOf, Behind                                      string // %s how much
	Days                                                 string // %d
	Hours                                                string // %d hours, %d minutes
	Minutes                                              string // %d
}

func uploadEnglish() Upload {
	return Upload{
		Receiving: "Starting", Sending: "Uploading", Waiting: "Waiting", Done: "Done", Failed: "Not uploaded", Cancelled: "Cancelled",
		UnknownClient: "another program",
		RepeatedOnce:  "interrupted once", Repeated: "interrupted %d times",
		ResignedOnce: "permission renewed once", Resigned: "permission renewed %d times",
		Of:         "%s of %s",
		TheNetwork: "The network", AheadOf: "%s ahead of", Behind: "%s behind",
		Days: "%d days", Hours: "%d h %d min", Minutes: "%d min",
	}
}

func uploadGerman() Upload {
	return Upload{
		Receiving: "Beginnt", Sending: "Wird hochgeladen", Waiting: "Wartet", Done: "Fertig", Failed: "Nicht hochgeladen", Cancelled: "Abgebrochen",
		UnknownClient: "einem anderen Programm",
		RepeatedOnce:  "einmal unterbrochen", Repeated: "%d-mal unterbrochen",
		ResignedOnce: "Erlaubnis einmal erneuert", Resigned: "Erlaubnis %d-mal erneuert",
		Of:         "%s von %s",
		TheNetwork: "Das Netz", AheadOf: "%s vor", Behind: "%s nach",
		Days: "%d Tage", Hours: "%d Std. %d Min.", Minutes: "%d Min.",
	}
}

// UploadState names the state of an upload.
func (w *Words) UploadState(u agent.Upload) string {
	switch u.State {
	case "receiving":
		return w.Upload.Receiving
	case "sending":
		return w.Upload.Sending
	case "waiting":
		return w.Upload.Waiting
	case "done":
		return w.Upload.Done
	case "cancelled":
		return w.Upload.Cancelled
	}
	return w.Upload.Failed
}

// UploadHistory says what had to be done for an upload: "interrupted 2 times, permission renewed once"; "" for nothing.
func (w *Words) UploadHistory(u agent.Upload) string {
	var parts []string
	count := func(n int, once, many string) {
		switch {
		case n == 1:
			parts = append(parts, once)
		case n > 1:
			parts = append(parts, fmt.Sprintf(many, n))
		}
	}
	count(u.Repeats, w.Upload.RepeatedOnce, w.Upload.Repeated)
	count(u.Resigned, w.Upload.ResignedOnce, w.Upload.Resigned)
	return strings.Join(parts, ", ")
}

// UploadAmount is "1.2 MB of 5.0 MB" while it runs, and the size when it has ended.
func (w *Words) UploadAmount(u agent.Upload) string {
	switch u.State {
	case "receiving", "sending", "waiting":
		return fmt.Sprintf(w.Upload.Of, w.Bytes(u.Sent), w.Bytes(u.Size))
	}
	return w.Bytes(u.Size)
}

// Bytes writes a size as people read it, in powers of 1000.
func (w *Words) Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	v, unit := float64(n), 0
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		v /= 1000
		unit++
		if v < 999.95 || next == "TB" {
			s := fmt.Sprintf("%.1f %s", v, next)
			if w.Lang == "de" {
				s = strings.Replace(s, ".", ",", 1)
			}
			return s
		}
	}
	return ""
}

// Clock writes a moment as people read it: the time today, else date and time.
func (w *Words) Clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04")
	}
	if w.Lang == "de" {
		return t.Format("02.01.2006 15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// Reason is why an upload waits or did not work.
type Reason struct {
	Offline     string
	Refused     string // %s what the server said
	Portal      string
	Certificate string // %s host
	Expired     string // %s host
	SelfSigned  string // %s host
	OtherName   string // %s host
	GaveUp      string // %s host
	ClientGone  string
	Unreachable string // %s host
	Busy        string // %s host
	Cancelled   string
	Stopped     string
	NoCopy      string // it goes on, but a cut ends it
	Unknown     string // %s detail
}

func reasonEnglish() Reason {
	return Reason{
		Offline:     "There is no network. The upload goes on when there is one.",
		Refused:     "The upload server refused the file: %s",
		Certificate: "%s could not prove who it is, so nothing was sent. Tell its admin that the certificate is not valid.",
		Portal:      "The network wants you to sign in. Open a web page in the browser; the upload then goes on by itself.",
		Expired:     "The certificate of %s is out of date, so nothing was sent. Check the date of this computer, or tell the server's admin.",
		SelfSigned:  "The certificate of %s is self-signed, so nothing was sent. Tell the server's admin.",
		OtherName:   "The server that answers for %s shows the certificate of another name, so nothing was sent.",
		GaveUp:      "%s did not take the file in a long time. Send the file again.",
		ClientGone:  "The client gave up before the file was sent. Send the file again.",
		Unreachable: "%s cannot be reached. The upload is tried again by itself.",
		Cancelled:   "Cancelled. Send the file again to upload it.",
		Busy:        "%s is busy. The upload is tried again by itself.",
		Stopped:     "Holdfast was stopped. Send the file again.",
		NoCopy:      "There is no room to keep a copy of the file, so a cut would end the upload. Free some space for the next one.",
		Unknown:     "The upload did not work: %s",
	}
}

func reasonGerman() Reason {
	return Reason{
		Offline:     "Es gibt kein Netz. Der Upload geht weiter, sobald es eines gibt.",
		Refused:     "Der Upload-Server hat die Datei abgelehnt: %s",
		Certificate: "%s konnte nicht beweisen, wer er ist, darum wurde nichts gesendet. Melden Sie dem Betreiber, dass das Zertifikat nicht gültig ist.",
		Portal:      "Das Netz verlangt eine Anmeldung. Öffnen Sie eine Webseite im Browser; der Upload geht dann von selbst weiter.",
		Expired:     "Das Zertifikat von %s ist abgelaufen oder gilt noch nicht, darum wurde nichts gesendet. Prüfen Sie das Datum dieses Computers, oder melden Sie es dem Betreiber.",
		SelfSigned:  "Das Zertifikat von %s hat sich selbst unterschrieben, darum wurde nichts gesendet. Melden Sie es dem Betreiber.",
		OtherName:   "Der Server, der für %s antwortet, zeigt das Zertifikat eines anderen Namens, darum wurde nichts gesendet.",
		GaveUp:      "%s hat die Datei lange nicht angenommen. Senden Sie die Datei noch einmal.",
		ClientGone:  "Das Programm hat aufgegeben, bevor die Datei gesendet war. Senden Sie die Datei noch einmal.",
		Unreachable: "%s ist nicht erreichbar. Der Upload wird von selbst wieder versucht.",
		Cancelled:   "Abgebrochen. Zum Hochladen die Datei noch einmal senden.",
		Busy:        "%s ist überlastet. Der Upload wird von selbst wieder versucht.",
		Stopped:     "Holdfast wurde beendet. Senden Sie die Datei noch einmal.",
		NoCopy:      "Für eine Kopie der Datei ist kein Platz, darum würde eine Unterbrechung den Upload beenden. Schaffen Sie Platz für den nächsten.",
		Unknown:     "Der Upload hat nicht geklappt: %s",
	}
}

// UploadReason turns a reason code of the relay into a sentence.
func (w *Words) UploadReason(code, host, detail string) string {
	r := w.Reason
	switch code {
	case "":
		return ""
	case "offline":
		return r.Offline
	case "refused":
		return fmt.Sprintf(r.Refused, detail)
	case "portal":
		return r.Portal
	case "certificate":
		return fmt.Sprintf(r.Certificate, host)
	case "certificate-expired":
		return fmt.Sprintf(r.Expired, host)
	case "certificate-self-signed":
		return fmt.Sprintf(r.SelfSigned, host)
	case "certificate-other-name":
		return fmt.Sprintf(r.OtherName, host)
	case "gave-up":
		return fmt.Sprintf(r.GaveUp, host)
	case "client-gone":
		return r.ClientGone
	case "network":
		return fmt.Sprintf(r.Unreachable, host)
	case "busy":
		return fmt.Sprintf(r.Busy, host)
	case "cancelled":
		return r.Cancelled
	case "stopped":
		return r.Stopped
	case "not-repeatable":
		return r.NoCopy
	}
	if detail == "" {
		detail = code
	}
	return fmt.Sprintf(r.Unknown, detail)
}
