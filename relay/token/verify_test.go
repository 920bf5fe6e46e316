package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/relay/token"
)

// The secret, file and user of these tests. The MACs are computed here, apart from the package.
const (
	secret = "test-secret"
	path   = "slot1/photo 1.jpg"
	full   = "/upload/slot1/photo 1.jpg"
	user   = "alice@example.org"
	expiry = "1795289542"
)

func mac(message string) []byte { return macWith(secret, message) }

func macWith(secret, message string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(message))
	return h.Sum(nil)
}

func hexMAC(message string) string { return hex.EncodeToString(mac(message)) }

func bearerMAC(fields ...string) string {
	return "Bearer " + base64.StdEncoding.EncodeToString(mac(strings.Join(fields, "\x00")))
}

func jwtOf(header, payload string) string {
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	return "Bearer " + input + "." + enc.EncodeToString(mac(input))
}

const (
	joseHeader = `{"alg":"HS256","typ":"JWT"}`
	jwtPayload = `{"sub":"alice@example.org","iat":1795289242,"exp":1795289542,"slot":"slot1","expires":1795894042,"filename":"photo 1.jpg","filesize":42,"filetype":"image/jpeg"}`
)

// request is a request for the file of these tests with the credential given.
func request(rawQuery, authorization string) token.Request {
	return token.Request{Path: path, FullPath: full, RawQuery: rawQuery, Authorization: authorization, Size: 42, Type: "image/jpeg"}
}

var (
	goodV     = "v=" + hexMAC(path+" 42")
	goodV2    = "v2=" + hexMAC(path+"\x0042\x00image/jpeg")
	goodToken = "token=" + hexMAC(path+"\x0042\x00image/jpeg")
	goodV3    = "v3=" + hexMAC("PUT\n"+expiry+"\n"+full) + "&expires=" + expiry
	bearerQ   = "user=" + user + "&expiry=" + expiry
	goodBear  = bearerMAC(user, "photo 1.jpg", "42", "1795285942")
	goodJWT   = jwtOf(joseHeader, jwtPayload)
)

func TestTheChosenCredentialDecides(t *testing.T) {
	zero := strings.Repeat("0", 64)
	all := token.Schemes()
	tests := []struct {
		name    string
		enabled []token.Scheme
		request token.Request
		want    token.Scheme
		err     error
	}{
		{"nothing", all, request("", ""), "", token.ErrMissing},
		{"only other parameters", all, request("foo=bar&V=1", ""), "", token.ErrMissing},
		{"v", all, request(goodV, ""), token.V, nil},
		{"v2", all, request(goodV2, ""), token.V2, nil},
		{"token", all, request(goodToken, ""), token.Token, nil},
		{"v3", all, request(goodV3, ""), token.V3, nil},
		{"bearer", all, request(bearerQ, goodBear), token.Bearer, nil},
		{"jwt", all, request("", goodJWT), token.JWT, nil},

		{"jwt wins over v3", all, request(goodV3, goodJWT), token.JWT, nil},
		{"bearer wins over v", all, request(goodV+"&"+bearerQ, goodBear), token.Bearer, nil},
		{"v3 wins over v2", all, request(goodV2+"&"+goodV3, ""), token.V3, nil},
		{"v2 wins over token", all, request(goodToken+"&"+goodV2, ""), token.V2, nil},
		{"token wins over v", all, request(goodV+"&"+goodToken, ""), token.Token, nil},

		{"a bad jwt is not saved by a good v", all, request(goodV, goodJWT+"A"), "", token.ErrInvalid},
		{"a bad bearer is not saved by a good v", all, request(goodV+"&"+bearerQ, bearerMAC("x")), "", token.ErrInvalid},
		{"a bad v3 is not saved by a good v2", all, request(goodV2+"&v3="+zero+"&expires="+expiry, ""), "", token.ErrInvalid},
		{"a v3 without expires is not saved by a good v2", all, request(goodV2+"&v3="+zero, ""), "", token.ErrInvalid},
		{"a bad v2 is not saved by a good v", all, request(goodV+"&v2="+zero, ""), "", token.ErrInvalid},
		{"an empty v2 is not saved by a good v", all, request(goodV+"&v2", ""), "", token.ErrInvalid},
		{"a bad token is not saved by a good v", all, request(goodV+"&token="+zero, ""), "", token.ErrInvalid},

		{"a disabled jwt does not count", []token.Scheme{token.V, token.Bearer}, request(goodV, goodJWT+"A"), token.V, nil},
		{"a disabled bearer does not count", []token.Scheme{token.V, token.JWT}, request(goodV, goodBear), token.V, nil},
		{"a disabled v3 does not count", []token.Scheme{token.V}, request("v3="+zero+"&"+goodV, ""), token.V, nil},
		{"a disabled v2 does not count", []token.Scheme{token.V}, request("v2="+zero+"&"+goodV, ""), token.V, nil},
		{"a disabled token, which bearer issuers add to the URL, does not count", []token.Scheme{token.V}, request("token=a+b=&"+goodV, ""), token.V, nil},
		{"nothing but disabled schemes is a missing token", []token.Scheme{token.V2}, request(goodV, goodJWT), "", token.ErrMissing},

		{"another kind of Authorization does not count", all, request(goodV, "Basic YTpi"), token.V, nil},
		{"DPoP does not count", all, request(goodV, "DPoP x.y.z"), token.V, nil},
		{"Bearer without anything does not count", all, request(goodV, "Bearer"), token.V, nil},
		{"an empty bearer decides", all, request(goodV, "Bearer "), "", token.ErrInvalid},
		{"the word Bearer in any case", all, request("", "bearer "+strings.TrimPrefix(goodJWT, "Bearer ")), token.JWT, nil},
		{"two spaces behind Bearer", all, request("", "Bearer  "+strings.TrimPrefix(goodJWT, "Bearer ")), "", token.ErrInvalid},
		{"a tab behind Bearer is no Bearer", all, request("", "Bearer\t"+strings.TrimPrefix(goodJWT, "Bearer ")), "", token.ErrMissing},

		{"an equal parameter twice, bad and good", all, request("v="+zero+"&"+goodV, ""), "", token.ErrInvalid},
		{"an equal parameter twice, good and bad", all, request(goodV+"&v="+zero, ""), "", token.ErrInvalid},
		{"an equal parameter twice, good and good", all, request(goodV+"&"+goodV, ""), "", token.ErrInvalid},
		{"expires twice", all, request(goodV3+"&expires="+expiry, ""), "", token.ErrInvalid},
		{"user twice", all, request(bearerQ+"&user="+user, goodBear), "", token.ErrInvalid},
		{"expiry twice", all, request(bearerQ+"&expiry="+expiry, goodBear), "", token.ErrInvalid},
		{"session_id twice", all, request(bearerQ+"&session_id=a&session_id=a", goodBear), "", token.ErrInvalid},
		{"a parameter's name in another case is another name", all, request("V2="+goodV2[3:], ""), "", token.ErrMissing},
		{"a parameter's name percent-encoded is another name", all, request("%762="+goodV2[3:], ""), "", token.ErrMissing},
		{"the user's name in another case", all, request("User="+user+"&expiry="+expiry, goodBear), "", token.ErrInvalid},
		{"a semicolon does not part parameters", all, request("a=b;"+goodV, ""), "", token.ErrMissing},
		{"other parameters do not matter", all, request("a=b&"+goodV+"&c=%zz", ""), token.V, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := verifier(t, secret, tt.enabled...).Verify(tt.request)
			if !errors.Is(err, tt.err) || c.Scheme != tt.want {
				t.Errorf("got %q, %v; want %q, %v", c.Scheme, err, tt.want, tt.err)
			}
		})
	}
}

func TestOneMACHasOneSpelling(t *testing.T) {
	upper := func(q string) string {
		name, value, _ := strings.Cut(q, "=")
		return name + "=" + strings.ToUpper(value)
	}
	b64 := strings.TrimPrefix(goodBear, "Bearer ")
	parts := strings.Split(strings.TrimPrefix(goodJWT, "Bearer "), ".")
	tests := []struct {
		name    string
		request token.Request
	}{
		{"v in upper case", request(upper(goodV), "")},
		{"v2 in upper case", request(upper(goodV2), "")},
		{"token in upper case", request(upper(goodToken), "")},
		{"v3 in upper case", request("v3="+strings.ToUpper(goodV3[3:67])+goodV3[67:], "")},
		{"v percent-encoded", request(strings.Replace(goodV, "=", "=%30", 1), "")},
		{"v's first digit percent-encoded", request("v=%"+hex.EncodeToString([]byte(goodV[2:3]))+goodV[3:], "")},
		{"v with a space", request(goodV+"+", "")},
		{"v too short", request(goodV[:len(goodV)-1], "")},
		{"v too long", request(goodV+"00", "")},
		{"v empty", request("v=", "")},
		{"expires with a leading zero", request("v3="+hexMAC("PUT\n0"+expiry+"\n"+full)+"&expires=0"+expiry, "")},
		{"expires with a plus", request(strings.Replace(goodV3, "expires=", "expires=%2B", 1), "")},
		{"expires percent-encoded", request(strings.Replace(goodV3, "expires=1", "expires=%31", 1), "")},
		{"expires negative", request("v3="+hexMAC("PUT\n-5\n"+full)+"&expires=-5", "")},
		{"expires past the year 9999", request("v3="+hexMAC("PUT\n253402300800\n"+full)+"&expires=253402300800", "")},
		{"expires past 64 bits", request("v3="+hexMAC("PUT\n99999999999999999999\n"+full)+"&expires=99999999999999999999", "")},
		{"expires empty", request("v3="+hexMAC("PUT\n\n"+full)+"&expires=", "")},
		{"bearer without padding", request(bearerQ, "Bearer "+strings.TrimRight(b64, "="))},
		{"bearer with a space behind", request(bearerQ, "Bearer "+b64+" ")},
		{"bearer with a percent-encoded end", request(bearerQ, "Bearer "+strings.TrimRight(b64, "=")+"%3D")},
		{"bearer with a line end", request(bearerQ, "Bearer "+b64[:8]+"\n"+b64[8:])},
		{"bearer with a trailing bit", request(bearerQ, "Bearer "+trailingBit(b64, base64.StdEncoding))},
		{"bearer in hex", request(bearerQ, "Bearer "+hex.EncodeToString(mac(user+"\x00photo 1.jpg\x0042\x001795285942")))},
		{"expiry with a leading zero", request("user="+user+"&expiry=0"+expiry, goodBear)},
		{"expiry with a fraction", request(bearerQ+".0", goodBear)},
		{"jwt with a trailing bit", request("", "Bearer "+parts[0]+"."+parts[1]+"."+trailingBit(parts[2], base64.RawURLEncoding))},
		{"jwt with padding", request("", goodJWT+"=")},
		{"jwt with a line end", request("", goodJWT+"\n")},
		{"jwt without a signature", request("", "Bearer "+parts[0]+"."+parts[1]+".")},
		{"jwt in the standard alphabet", request("", "Bearer "+parts[0]+"."+parts[1]+"."+base64.RawStdEncoding.EncodeToString(make([]byte, 32)))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if c, err := verifier(t, secret).Verify(tt.request); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("got %+v, %v; want ErrInvalid", c, err)
			}
		})
	}
}

// A MAC with "+" and "/" in its base64 has exactly one spelling in the header. The URL's copy of it, where "+" gets lost, is not read.
func TestSeveralAuthorizations(t *testing.T) {
	for _, tt := range []struct {
		name          string
		authorization string
		err           error
	}{
		{"are refused if the first Bearer counts", goodJWT, token.ErrInvalid},
		{"are looked past if none is a Bearer", "Basic YTpi", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(goodV, tt.authorization)
			r.Several = true
			if _, err := verifier(t, secret).Verify(r); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

func TestABearerMACWithPlusAndSlash(t *testing.T) {
	var q, b64 string
	for i := 0; !strings.ContainsRune(b64, '+') || !strings.ContainsRune(b64, '/'); i++ {
		session := strconv.Itoa(i)
		q = bearerQ + "&session_id=" + session
		b64 = strings.TrimPrefix(bearerMAC(user, "photo 1.jpg", "42", expiry, session), "Bearer ")
	}
	urlSafe := strings.NewReplacer("+", "-", "/", "_")
	tests := []struct {
		name            string
		query, spelling string
		err             error
	}{
		{"as it is", q, b64, nil},
		{"with a broken copy in the URL", "token=" + strings.ReplaceAll(b64, "+", " ") + "&" + q, b64, nil},
		{"the plus as a space", q, strings.ReplaceAll(b64, "+", " "), token.ErrInvalid},
		{"the plus percent-encoded", q, strings.ReplaceAll(b64, "+", "%2B"), token.ErrInvalid},
		{"the slash percent-encoded", q, strings.ReplaceAll(b64, "/", "%2F"), token.ErrInvalid},
		{"in the URL alphabet", q, urlSafe.Replace(b64), token.ErrInvalid},
		{"only in the URL", "token=" + url.QueryEscape(b64) + "&" + q, "", token.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := verifier(t, secret).Verify(request(tt.query, "Bearer "+tt.spelling)); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
		})
	}
}

// trailingBit sets a bit behind the last byte of a base64 text that a lenient decoder ignores.
func trailingBit(s string, enc *base64.Encoding) string {
	const std = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	const url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	alphabet := std
	if enc == base64.RawURLEncoding {
		alphabet = url
	}
	end := len(strings.TrimRight(s, "="))
	i := strings.IndexByte(alphabet, s[end-1])
	return s[:end-1] + alphabet[i^1:i^1+1] + s[end:]
}

func TestEveryBearerForm(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(n, 0).UTC() }
	const e = 1795289542
	owner := token.Owner(user)
	tests := []struct {
		name   string
		fields []string
		query  string
		want   token.Claims
	}{
		{"1 network_resilient", []string{user, "photo 1.jpg", "42", "1795203142", expiry, "network_resilient"},
			bearerQ + "&session_id=0123456789abcdef&network_resilience=true&resume_allowed=true",
			token.Claims{Form: token.NetworkResilient, IssuedAt: at(e - 86400), Expires: at(e)}},
		{"2 with the time of issue", []string{user, "photo 1.jpg", "42", "1795285942"}, bearerQ,
			token.Claims{Form: token.Standard, IssuedAt: at(e - 3600), Expires: at(e)}},
		{"3 without a time: the expiry is ignored", []string{user, "photo 1.jpg", "42"}, bearerQ,
			token.Claims{Form: token.Simple}},
		{"3 without a time: far in the future is ignored too", []string{user, "photo 1.jpg", "42"}, "user=" + user + "&expiry=4070908800",
			token.Claims{Form: token.Simple}},
		{"3 without a time and without an expiry", []string{user, "photo 1.jpg", "42"}, "user=" + user,
			token.Claims{Form: token.Simple}},
		{"4 with the expiry", []string{user, "photo 1.jpg", "42", expiry}, bearerQ,
			token.Claims{Form: token.Expiring, Expires: at(e)}},
		{"5 with both", []string{user, "photo 1.jpg", "42", "1795285942", expiry}, bearerQ,
			token.Claims{Form: token.IssuedExpiring, IssuedAt: at(e - 3600), Expires: at(e)}},
		{"session_based", []string{user, "photo 1.jpg", "42", expiry, "0123456789abcdef"}, bearerQ + "&session_id=0123456789abcdef",
			token.Claims{Form: token.SessionBased, Session: "0123456789abcdef", Expires: at(e)}},
		{"session_based without a session", []string{user, "photo 1.jpg", "42", expiry, ""}, bearerQ,
			token.Claims{Form: token.SessionBased, Expires: at(e)}},
		{"the URL's copy of the token is not read", []string{user, "photo 1.jpg", "42", expiry}, "token=a+b%2Bc=&" + bearerQ,
			token.Claims{Form: token.Expiring, Expires: at(e)}},
		{"the at sign percent-encoded", []string{user, "photo 1.jpg", "42", expiry}, "user=alice%40example.org&expiry=" + expiry,
			token.Claims{Form: token.Expiring, Expires: at(e)}},
		{"a plus in the user stays a plus", []string{"alice+phone@example.org", "photo 1.jpg", "42", expiry}, "user=alice+phone@example.org&expiry=" + expiry,
			token.Claims{Form: token.Expiring, Expires: at(e), User: "alice+phone@example.org", Owner: token.Owner("alice+phone@example.org")}},
		{"a plus in the user percent-encoded", []string{"alice+phone@example.org", "photo 1.jpg", "42", expiry}, "user=alice%2Bphone@example.org&expiry=" + expiry,
			token.Claims{Form: token.Expiring, Expires: at(e), User: "alice+phone@example.org", Owner: token.Owner("alice+phone@example.org")}},
		{"a user outside ASCII", []string{"ålice@exämple.org", "photo 1.jpg", "42", expiry}, "user=%C3%A5lice@ex%c3%a4mple.org&expiry=" + expiry,
			token.Claims{Form: token.Expiring, Expires: at(e), User: "ålice@exämple.org", Owner: token.Owner("ålice@exämple.org")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			want.Scheme, want.Path, want.Size = token.Bearer, path, 42
			want.MAC = [32]byte(mac(strings.Join(tt.fields, "\x00")))
			if want.User == "" {
				want.User, want.Owner = user, owner
			}
			got, err := verifier(t, secret).Verify(request(tt.query, bearerMAC(tt.fields...)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// An Expiring MAC over E is also a Standard one for E+3600: the four fields are the same. It gains an hour and nothing else.
func TestAFourFieldMACHasTwoReadings(t *testing.T) {
	auth := bearerMAC(user, "photo 1.jpg", "42", expiry)
	for query, want := range map[string]token.Form{
		"user=" + user + "&expiry=1795289542": token.Expiring,
		"user=" + user + "&expiry=1795293142": token.Standard,
	} {
		if c, err := verifier(t, secret).Verify(request(query, auth)); err != nil || c.Form != want {
			t.Errorf("%s: form %v, %v; want %v", query, c.Form, err, want)
		}
	}
	for _, query := range []string{"user=" + user + "&expiry=1795293143", "user=" + user + "&expiry=1795375942", "user=" + user} {
		if c, err := verifier(t, secret).Verify(request(query, auth)); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: form %v, %v; want ErrInvalid", query, c.Form, err)
		}
	}
}

func TestBearerIsRefused(t *testing.T) {
	with := func(user string) []string { return []string{user, "photo 1.jpg", "42", expiry} }
	tests := []struct {
		name          string
		rawQuery      string
		authorization string
	}{
		{"user_only, which binds no file", bearerQ, bearerMAC(user, expiry)},
		{"a MAC over the path alone", bearerQ, bearerMAC(path)},
		{"a MAC over the file alone", bearerQ, bearerMAC("photo 1.jpg")},
		{"no user", "expiry=" + expiry, bearerMAC(with("")...)},
		{"another user", "user=bob@example.org&expiry=" + expiry, goodBear},
		{"another expiry", "user=" + user + "&expiry=1795289543", goodBear},
		{"no expiry where one is signed", "user=" + user, goodBear},
		{"a broken expiry where none is signed", "user=" + user + "&expiry=soon", bearerMAC(user, "photo 1.jpg", "42")},
		{"a user without @", "user=alice&expiry=" + expiry, bearerMAC(with("alice")...)},
		{"a user with two @", "user=a@b@c&expiry=" + expiry, bearerMAC(with("a@b@c")...)},
		{"a user without a local part", "user=@c&expiry=" + expiry, bearerMAC(with("@c")...)},
		{"a user without a domain", "user=a@&expiry=" + expiry, bearerMAC(with("a@")...)},
		{"a full JID", "user=a@b/c&expiry=" + expiry, bearerMAC(with("a@b/c")...)},
		{"NUL in the user", "user=a@b%00c&expiry=" + expiry, bearerMAC(with("a@b\x00c")...)},
		{"fields shifted by NUL", "user=" + user + "%00photo%201.jpg&expiry=" + expiry, bearerMAC(user, "photo 1.jpg", "photo 1.jpg", "42", expiry)},
		{"LF in the user", "user=a@b%0Ac&expiry=" + expiry, bearerMAC(with("a@b\nc")...)},
		{"DEL in the user", "user=a@b%7F&expiry=" + expiry, bearerMAC(with("a@b\x7f")...)},
		{"a C1 control in the user", "user=a@b%C2%85&expiry=" + expiry, bearerMAC(with("a@b\u0085")...)},
		{"a user that is not UTF-8", "user=a@b%ff&expiry=" + expiry, bearerMAC(with("a@b\xff")...)},
		{"a user with a broken escape", "user=a@b%2&expiry=" + expiry, bearerMAC(with("a@b%2")...)},
		{"NUL in the session", bearerQ + "&session_id=%00", bearerMAC(user, "photo 1.jpg", "42", expiry, "\x00")},
		{"another session", bearerQ + "&session_id=b", bearerMAC(user, "photo 1.jpg", "42", expiry, "a")},
		{"session_id is not signed by itself", bearerQ + "&session_id=&resume_allowed=true", bearerMAC(user, "photo 1.jpg", "41", expiry)},
		{"form 1 with a day too much", "user=" + user + "&expiry=1795375942", bearerMAC(user, "photo 1.jpg", "42", "1795203142", expiry, "network_resilient")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if c, err := verifier(t, secret).Verify(request(tt.rawQuery, tt.authorization)); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("got %+v, %v; want ErrInvalid", c, err)
			}
		})
	}
}

// A Prosody v2 MAC has the shape a NUL b NUL c, as Bearer form 3 has: a slot for a file of 9 bytes and the type
// 1000000000 would be a token for a file named "9" of a gigabyte. Its first field is a path and never a bare JID.
func TestAV2SlotIsNoBearerToken(t *testing.T) {
	for _, slot := range []string{"slot1/photo.jpg", "slot1/alice@example.org", "alice@example.org/x"} {
		sum := base64.StdEncoding.EncodeToString(mac(slot + "\x009\x001000000000"))
		for _, query := range []string{"user=" + slot, "user=" + strings.ReplaceAll(slot, "/", "%2F"), "user=" + slot + "&expiry=" + expiry} {
			r := token.Request{Path: "evil/9", FullPath: "/upload/evil/9", RawQuery: query, Authorization: "Bearer " + sum, Size: 1000000000}
			if c, err := verifier(t, secret).Verify(r); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("%s: got %+v, %v; want ErrInvalid", query, c, err)
			}
		}
	}
}

func TestV3CoversTheWholePathAndTheExpiry(t *testing.T) {
	tests := []struct {
		name, message string
		err           error
	}{
		{"method, expiry and whole path", "PUT\n" + expiry + "\n" + full, nil},
		{"no expiry inside", "PUT\n" + full, token.ErrInvalid},
		{"the path below the prefix", "PUT\n" + expiry + "\n/" + path, token.ErrInvalid},
		{"no leading slash", "PUT\n" + expiry + "\n" + full[1:], token.ErrInvalid},
		{"another method", "PATCH\n" + expiry + "\n" + full, token.ErrInvalid},
		{"the path alone", full, token.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request("v3="+hexMAC(tt.message)+"&expires="+expiry, "")
			c, err := verifier(t, secret).Verify(r)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && (c.Expires.Unix() != 1795289542 || c.Size != 42 || c.Owner != "") {
				t.Errorf("claims %+v", c)
			}
			r.FullPath = "/upload/other/photo 1.jpg"
			if _, err := verifier(t, secret).Verify(r); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("a whole path that does not end in the path below the prefix: %v", err)
			}
		})
	}
}

func TestJWTClaims(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(jwtPayload, old) {
			t.Fatalf("no %q in the payload", old)
		}
		return jwtOf(joseHeader, strings.Replace(jwtPayload, old, new, 1))
	}
	good := token.Claims{
		Scheme: token.JWT, Path: path, Size: 42, Type: "image/jpeg", User: user, Owner: token.Owner(user),
		IssuedAt: time.Unix(1795289242, 0).UTC(), Expires: time.Unix(1795289542, 0).UTC(), Retain: time.Unix(1795894042, 0).UTC(),
	}
	with := func(change func(*token.Claims)) token.Claims {
		c := good
		change(&c)
		return c
	}
	tests := []struct {
		name          string
		authorization string
		want          token.Claims
		err           error
	}{
		{"as Prosody writes it", goodJWT, good, nil},
		{"claims in another order and with spaces", jwtOf(`{ "typ":"JWT", "alg":"HS256" }`, `{ "filesize": 42, "slot":"slot1", "filename":"photo 1.jpg", "exp": 1795289542 }`),
			token.Claims{Scheme: token.JWT, Path: path, Size: 42, Expires: good.Expires}, nil},
		{"an unknown claim", change(`"slot"`, `"x":[1,{"y":null}],"slot"`), good, nil},
		{"no typ", jwtOf(`{"alg":"HS256"}`, jwtPayload), good, nil},
		{"no retention", change(`"expires":1795894042,`, ``), with(func(c *token.Claims) { c.Retain = time.Time{} }), nil},
		{"no user", change(`"sub":"alice@example.org",`, ``), with(func(c *token.Claims) { c.User, c.Owner = "", "" }), nil},
		{"a sub that is no bare JID is no identity", change(`alice@example.org`, `example.org`), with(func(c *token.Claims) { c.User, c.Owner = "", "" }), nil},
		{"a full JID is no identity", change(`alice@example.org`, `alice@example.org/phone`), with(func(c *token.Claims) { c.User, c.Owner = "", "" }), nil},
		{"a time with a fraction", change(`"exp":1795289542`, `"exp":1795289542.9`), good, nil},
		{"nbf later than iat counts as the time of issue", change(`"iat"`, `"nbf":1795289243,"iat"`), with(func(c *token.Claims) { c.IssuedAt = time.Unix(1795289243, 0).UTC() }), nil},
		{"the name in JSON escapes", change(`photo 1.jpg`, `photo\u00201.jpg`), good, nil},

		{"no exp", change(`"exp":1795289542,`, ``), token.Claims{}, token.ErrInvalid},
		{"exp in another case", change(`"exp"`, `"EXP"`), token.Claims{}, token.ErrInvalid},
		{"exp as text", change(`1795289542`, `"1795289542"`), token.Claims{}, token.ErrInvalid},
		{"exp null", change(`1795289542`, `null`), token.Claims{}, token.ErrInvalid},
		{"exp negative", change(`1795289542`, `-1`), token.Claims{}, token.ErrInvalid},
		{"exp out of range", change(`1795289542`, `1e300`), token.Claims{}, token.ErrInvalid},
		{"no size", change(`"filesize":42,`, ``), token.Claims{}, token.ErrInvalid},
		{"a negative size", change(`"filesize":42`, `"filesize":-42`), token.Claims{}, token.ErrInvalid},
		{"half a byte", change(`"filesize":42`, `"filesize":42.5`), token.Claims{}, token.ErrInvalid},
		{"another size", change(`"filesize":42`, `"filesize":43`), token.Claims{}, token.ErrSize},
		{"no slot", change(`"slot":"slot1",`, ``), token.Claims{}, token.ErrInvalid},
		{"another slot", change(`slot1`, `slot2`), token.Claims{}, token.ErrInvalid},
		{"another name", change(`photo 1`, `photo 2`), token.Claims{}, token.ErrInvalid},
		{"another name and another size: the path is judged first", jwtOf(joseHeader, `{"filesize":43,"slot":"slot1","filename":"x","exp":1795289542}`), token.Claims{}, token.ErrInvalid},
		{"a type that is no text", change(`"image/jpeg"`, `7`), token.Claims{}, token.ErrInvalid},
		{"a sub that is no text", change(`"alice@example.org"`, `7`), token.Claims{}, token.ErrInvalid},
		{"alg none", jwtOf(`{"alg":"none"}`, jwtPayload), token.Claims{}, token.ErrInvalid},
		{"alg HS512", jwtOf(`{"alg":"HS512"}`, jwtPayload), token.Claims{}, token.ErrInvalid},
		{"alg in another case", jwtOf(`{"alg":"hs256"}`, jwtPayload), token.Claims{}, token.ErrInvalid},
		{"no alg", jwtOf(`{"typ":"JWT"}`, jwtPayload), token.Claims{}, token.ErrInvalid},
		{"crit", jwtOf(`{"alg":"HS256","crit":["x"]}`, jwtPayload), token.Claims{}, token.ErrInvalid},
		{"a header that is no object", jwtOf(`null`, jwtPayload), token.Claims{}, token.ErrInvalid},
		{"a payload that is no object", jwtOf(joseHeader, `[]`), token.Claims{}, token.ErrInvalid},
		{"a payload that is cut", jwtOf(joseHeader, jwtPayload[:40]), token.Claims{}, token.ErrInvalid},
		{"a payload with something behind it", jwtOf(joseHeader, jwtPayload+"{}"), token.Claims{}, token.ErrInvalid},
		{"an empty payload", jwtOf(joseHeader, ``), token.Claims{}, token.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request("", tt.authorization)
			r.Type = "text/plain" // the Content-Type of the request is not compared
			got, err := verifier(t, secret).Verify(r)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			got.MAC = [32]byte{}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestSizeIsTheRequests(t *testing.T) {
	for name, r := range map[string]token.Request{
		"v": request(goodV, ""), "v2": request(goodV2, ""), "token": request(goodToken, ""), "v3": request(goodV3, ""),
		"bearer": request(bearerQ, goodBear), "jwt": request("", goodJWT),
	} {
		v := verifier(t, secret)
		if _, err := v.Verify(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r.Size = -1
		if _, err := v.Verify(r); !errors.Is(err, token.ErrNoSize) {
			t.Errorf("%s without a length: %v, want ErrNoSize", name, err)
		}
		r.Size = 43
		want := token.ErrInvalid
		switch name {
		case "jwt":
			want = token.ErrSize
		case "v3":
			want = nil // signs no size
		}
		if _, err := v.Verify(r); !errors.Is(err, want) {
			t.Errorf("%s with another length: %v, want %v", name, err, want)
		}
	}
}

func TestTheTypeIsTakenAsItWasSent(t *testing.T) {
	tests := []struct {
		name, signed, sent string
		err                error
	}{
		{"as signed", "text/plain", "text/plain", nil},
		{"upper case as signed", "IMAGE/JPEG", "IMAGE/JPEG", nil},
		{"with a parameter as signed", "text/html; charset=utf-8", "text/html; charset=utf-8", nil},
		{"none sent, octet-stream signed", "application/octet-stream", "", nil},
		{"none sent, another signed", "text/plain", "", token.ErrInvalid},
		{"none sent, nothing signed", "", "", token.ErrInvalid},
		{"a parameter added", "text/plain", "text/plain; charset=utf-8", token.ErrInvalid},
		{"another case", "image/jpeg", "IMAGE/JPEG", token.ErrInvalid},
		{"a control character", "a/b\nc", "a/b\nc", token.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, scheme := range []token.Scheme{token.V2, token.Token} {
				r := request(string(scheme)+"="+hexMAC(path+"\x0042\x00"+tt.signed), "")
				r.Type = tt.sent
				if _, err := verifier(t, secret).Verify(r); !errors.Is(err, tt.err) {
					t.Errorf("%s: error %v, want %v", scheme, err, tt.err)
				}
			}
		})
	}
}

func TestLegacyFullPath(t *testing.T) {
	issuers := func(legacy bool) []token.Issuer {
		return []token.Issuer{{Schemes: token.Schemes(), Secrets: []token.Secret{token.Secret(secret)}, LegacyFullPath: legacy}}
	}
	off, err := token.NewVerifier(issuers(false))
	if err != nil {
		t.Fatal(err)
	}
	on, err := token.NewVerifier(issuers(true))
	if err != nil {
		t.Fatal(err)
	}
	for name, signed := range map[string]string{"without its leading slash": full[1:], "with its leading slash": full, "below the prefix": path} {
		for _, r := range []token.Request{
			request("v="+hexMAC(signed+" 42"), ""),
			request("v2="+hexMAC(signed+"\x0042\x00image/jpeg"), ""),
			request("token="+hexMAC(signed+"\x0042\x00image/jpeg"), ""),
		} {
			if c, err := on.Verify(r); err != nil || c.Path != path {
				t.Errorf("the path %s, legacy on: %q, %v", name, c.Path, err)
			}
			if _, err := off.Verify(r); (err == nil) != (signed == path) {
				t.Errorf("the path %s, legacy off: %v", name, err)
			}
			r.FullPath = "/other/slot1/photo 1.jpg"
			if _, err := on.Verify(r); (err == nil) != (signed == path) {
				t.Errorf("the path %s, another prefix: %v", name, err)
			}
		}
	}
}

func TestSecretsAreBoundToSchemesAndRotate(t *testing.T) {
	v, err := token.NewVerifier([]token.Issuer{
		{Schemes: []token.Scheme{token.V}, Secrets: []token.Secret{token.Secret("new"), token.Secret("old")}},
		{Schemes: []token.Scheme{token.V2, token.V}, Secrets: []token.Secret{token.Secret("other")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, schemes := range map[string][]token.Scheme{
		"new": {token.V}, "old": {token.V}, "other": {token.V, token.V2}, "unknown": nil,
	} {
		for scheme, query := range map[token.Scheme]string{
			token.V:  "v=" + hex.EncodeToString(macWith(key, path+" 42")),
			token.V2: "v2=" + hex.EncodeToString(macWith(key, path+"\x0042\x00image/jpeg")),
		} {
			want := false
			for _, s := range schemes {
				want = want || s == scheme
			}
			if _, err := v.Verify(request(query, "")); (err == nil) != want {
				t.Errorf("%s with the secret %q: %v, want accepted %v", scheme, key, err, want)
			}
		}
	}
	if v.Accepts(token.JWT) || !v.Accepts(token.V2) {
		t.Error("what is accepted is not what the issuers are bound to")
	}
}

func TestNewVerifierRefusesAnIssuerThatCannotVerify(t *testing.T) {
	key := []token.Secret{token.Secret("x")}
	for name, issuers := range map[string][]token.Issuer{
		"no issuer":       nil,
		"no schemes":      {{Secrets: key}},
		"no secrets":      {{Schemes: []token.Scheme{token.V}}},
		"an empty secret": {{Schemes: []token.Scheme{token.V}, Secrets: []token.Secret{token.Secret("x"), nil}}},
		"unknown scheme":  {{Schemes: []token.Scheme{"v1"}, Secrets: key}},
	} {
		if _, err := token.NewVerifier(issuers); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAVerifierKeepsItsOwnSecrets(t *testing.T) {
	own := token.Secret(secret)
	v, err := token.NewVerifier([]token.Issuer{{Schemes: []token.Scheme{token.V}, Secrets: []token.Secret{own}}})
	if err != nil {
		t.Fatal(err)
	}
	own[0] ^= 1
	if _, err := v.Verify(request(goodV, "")); err != nil {
		t.Errorf("after the caller changed its copy: %v", err)
	}
}

func TestPathsThatVerifyRefusesByItself(t *testing.T) {
	for _, p := range []string{"", "a/b\x00c", "a/b\nc", "a/\x7f"} {
		r := request("v="+hexMAC(p+" 42"), "")
		r.Path, r.FullPath = p, "/upload/"+p
		if _, err := verifier(t, secret).Verify(r); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", p, err)
		}
	}
}

func TestTheOwnerOfAnEjabberdPath(t *testing.T) {
	const sha1 = "a0436d80399fbe75771925e5c10bfa4ea972d98a"
	for p, want := range map[string]string{
		sha1 + "/random/file":                  sha1,
		sha1 + "/file":                         "",
		sha1 + "/a/b/file":                     "",
		strings.ToUpper(sha1) + "/random/file": "",
		sha1[:39] + "/random/file":             "",
		sha1[:39] + "g/random/file":            "",
		"alice/random/file":                    "",
		"random/" + sha1 + "/file":             "",
	} {
		r := token.Request{Path: p, FullPath: "/upload/" + p, RawQuery: "v=" + hexMAC(p+" 42"), Size: 42}
		if c, err := verifier(t, secret).Verify(r); err != nil || c.Owner != want {
			t.Errorf("%s: owner %q, %v; want %q", p, c.Owner, err, want)
		}
		r.RawQuery = "v2=" + hexMAC(p+"\x0042\x00application/octet-stream")
		if c, err := verifier(t, secret).Verify(r); err != nil || c.Owner != "" {
			t.Errorf("%s by v2: owner %q, %v; want none", p, c.Owner, err)
		}
	}
}
