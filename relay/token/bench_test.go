package token_test

import (
	"testing"

	"holdfast/relay/token"
)

func BenchmarkVerify(b *testing.B) {
	for name, r := range map[string]token.Request{
		"v": request(goodV, ""), "v2": request(goodV2, ""), "v3": request(goodV3, ""),
		"bearer": request(bearerQ, goodBear), "jwt": request("", goodJWT),
	} {
		b.Run(name, func(b *testing.B) {
			v := verifier(b, secret)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
