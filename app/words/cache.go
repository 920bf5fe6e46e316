package words

// Part is what the parts of a client's cache are, in a few words.
type Part struct {
	Contacts, Avatars, Thumbnails, Emoticons, Plugins string
	Other                                             string
}

func partEnglish() Part {
	return Part{
		Contacts:   "what other clients can do, and the contact list; fetched again, unread counters are lost",
		Avatars:    "pictures of contacts; fetched again",
		Thumbnails: "small previews of pictures; made again",
		Emoticons:  "small images from messages; fetched again",
		Plugins:    "the list of available plugins; fetched again",
		Other:      "made again",
	}
}

func partGerman() Part {
	return Part{
		Contacts:   "was andere Programme können, und die Kontaktliste; wird neu geholt, Zähler ungelesener Nachrichten gehen verloren",
		Avatars:    "Bilder der Kontakte; werden neu geholt",
		Thumbnails: "kleine Vorschauen von Bildern; werden neu gemacht",
		Emoticons:  "kleine Bilder aus Nachrichten; werden neu geholt",
		Plugins:    "die Liste verfügbarer Erweiterungen; wird neu geholt",
		Other:      "wird neu gemacht",
	}
}

// CachePart says what a part of a cache is, by the constant word of a plan.
func (w *Words) CachePart(reason string) string {
	switch reason {
	case "contacts":
		return w.Part.Contacts
	case "avatars":
		return w.Part.Avatars
	case "thumbnails":
		return w.Part.Thumbnails
	case "emoticons":
		return w.Part.Emoticons
	case "plugins":
		return w.Part.Plugins
	}
	return w.Part.Other
}
