package server

import (
	"mime"
	"path"
	"strings"
	"unicode/utf8"

	"holdfast/relay/token"
)

// octets is the type of what has none.
const octets = "application/octet-stream"

// inline are the media types that a browser may show at once. Nothing that can carry a script is among them.
var inline = map[string]bool{
	"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true, "image/avif": true, "image/heic": true,
	"image/heif": true, "image/bmp": true, "image/apng": true, "image/jxl": true, "image/tiff": true,
	"audio/mpeg": true, "audio/mp4": true, "audio/aac": true, "audio/ogg": true, "audio/opus": true, "audio/flac": true,
	"audio/wav": true, "audio/x-wav": true, "audio/webm": true, "audio/amr": true, "audio/3gpp": true,
	"video/mp4": true, "video/webm": true, "video/ogg": true, "video/quicktime": true, "video/mpeg": true, "video/3gpp": true,
	"video/x-matroska": true,
	"text/plain":       true,
}

// byEnding is the type of a file whose upload declared none. The table is our own: the host's would make the same
// file another type on another machine.
var byEnding = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
	".avif": "image/avif", ".heic": "image/heic", ".heif": "image/heif", ".bmp": "image/bmp", ".jxl": "image/jxl",
	".tif": "image/tiff", ".tiff": "image/tiff", ".svg": "image/svg+xml",
	".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".aac": "audio/aac", ".ogg": "audio/ogg", ".oga": "audio/ogg",
	".opus": "audio/opus", ".flac": "audio/flac", ".wav": "audio/wav", ".amr": "audio/amr",
	".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg", ".mov": "video/quicktime",
	".mpeg": "video/mpeg", ".mpg": "video/mpeg", ".3gp": "video/3gpp", ".mkv": "video/x-matroska",
	".txt": "text/plain; charset=utf-8", ".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".md": "text/markdown; charset=utf-8",
	".xml": "text/xml; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".vcf": "text/vcard; charset=utf-8",
	".json": "application/json", ".pdf": "application/pdf", ".zip": "application/zip", ".gz": "application/gzip",
	".tar": "application/x-tar", ".7z": "application/x-7z-compressed", ".apk": "application/vnd.android.package-archive",
	".odt":  "application/vnd.oasis.opendocument.text",
	".ods":  "application/vnd.oasis.opendocument.spreadsheet",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

// typeByName guesses the media type from the ending of a file name.
func typeByName(name string) string {
	if t, ok := byEnding[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return octets
}

// declaredType is the media type to keep with a file: what the token signs, else what the request says; empty if
// neither is a media type, so that the ending decides.
func declaredType(c token.Claims, sent string) string {
	for _, t := range []string{c.Type, sent} {
		if _, _, err := mime.ParseMediaType(t); err == nil && len(t) <= 255 && strings.Contains(t, "/") && visible(t) {
			return t
		}
	}
	return ""
}

// visible reports whether s is printable ASCII, which is what a header value can carry.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// disposition is the Content-Disposition of a file (RFC 6266): inline for the short list, else attachment.
func disposition(mediaType, name string) string {
	kind := "attachment"
	if inline[mediaType] {
		kind = "inline"
	} else if base, _, err := mime.ParseMediaType(mediaType); err == nil && inline[base] {
		kind = "inline"
	}
	return kind + `; filename="` + plainName(name) + `"; filename*=UTF-8''` + extValue(name)
}

// plainName is the name for old clients: everything that needs quoting or is not ASCII becomes an underscore.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' || r == '%' {
			return '_'
		}
		return r
	}, name)
}

// extValue is value-chars of RFC 8187 section 3.2.1.
func extValue(name string) string {
	const hex = "0123456789ABCDEF"
	if !utf8.ValidString(name) {
		name = strings.ToValidUTF8(name, "_")
	}
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$&+-.^_`|~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
