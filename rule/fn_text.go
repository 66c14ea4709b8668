package rule

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds what a text function makes.
const maxText = 4 * MaxDocument

// textFunctions take texts; other types are converted first.
var textFunctions = map[string]builtin{
	"lower": onText(strings.ToLower),
	"upper": onText(strings.ToUpper),
	"trim":  onText(func(s string) string { return strings.TrimFunc(s, unicode.IsSpace) }),
	"ltrim": onText(func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }),
	"rtrim": onText(func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }),

	"md2":    onText(func(s string) string { return hex.EncodeToString(md2([]byte(s))) }),
	"md5":    onText(func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }),
	"sha1":   onText(func(s string) string { h := sha1.Sum([]byte(s)); return hex.EncodeToString(h[:]) }),
	"sha224": onText(func(s string) string { h := sha256.Sum224([]byte(s)); return hex.EncodeToString(h[:]) }),
	"sha256": onText(func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }),
	"sha384": onText(func(s string) string { h := sha512.Sum384([]byte(s)); return hex.EncodeToString(h[:]) }),
	"sha512": onText(func(s string) string { h := sha512.Sum512([]byte(s)); return hex.EncodeToString(h[:]) }),

	"length":   {1, 1, true, false, onTexts(func(s []string) value { return intValue(int64(utf8.RuneCountInString(s[0]))) })},
	"numbytes": {1, 1, true, false, onTexts(func(s []string) value { return intValue(int64(len(s[0]))) })},
	// -1 for what is not found is a guess (unverified).
	"indexof": {2, 2, true, false, onTexts(func(s []string) value {
		at := strings.Index(s[0], s[1])
		if at > 0 {
			at = utf8.RuneCountInString(s[0][:at])
		}
		return intValue(int64(at))
	})},
	"startswith": {2, 2, false, false, onTexts(func(s []string) value { return boolValue(strings.HasPrefix(s[0], s[1])) })},
	"endswith":   {2, 2, false, false, onTexts(func(s []string) value { return boolValue(strings.HasSuffix(s[0], s[1])) })},

	"lpad": pad(func(s, spaces string) string { return spaces + s }),
	"rpad": pad(func(s, spaces string) string { return s + spaces }),

	"chr": {1, 1, false, false, func(_ *Input, a []value) value {
		n, ok := a[0].asIndex()
		if !ok || n < 0 || n > 127 {
			return value{}
		}
		return textValue(string(rune(n)))
	}},
	"concat":    {0, many, false, false, concat},
	"substring": {2, 3, false, false, substring},
	"replace":   {3, 3, false, false, replace},
}

func onText(f func(string) string) builtin {
	return builtin{1, 1, false, false, onTexts(func(s []string) value { return textValue(f(s[0])) })}
}

// onTexts converts every argument; Null and Undefined make it Undefined.
func onTexts(f func(s []string) value) func(*Input, []value) value {
	return func(in *Input, a []value) value {
		s := make([]string, len(a))
		for i, v := range a {
			var ok bool
			if s[i], ok = v.asText(in); !ok {
				return value{}
			}
		}
		return f(s)
	}
}

// pad adds spaces: it does not fill up to a width [DG Functions, lpad].
func pad(f func(s, spaces string) string) builtin {
	return builtin{2, 2, false, false, func(in *Input, a []value) value {
		s, ok := a[0].asText(in)
		n, ok2 := a[1].asIndex()
		if !ok || !ok2 {
			return value{}
		}
		return textValue(f(s, strings.Repeat(" ", max(0, min(1000, n)))))
	}}
}

// concat joins arrays and others to one array, and all else to a text.
func concat(in *Input, a []value) value {
	switch len(a) {
	case 0:
		return value{}
	case 1:
		return a[0]
	}
	array, size := false, 0
	for _, v := range a {
		if v.kind == undefined {
			return value{}
		}
		array = array || v.kind == arrayKind
		size += v.size()
	}
	if size > maxText {
		in.fail(errLarge)
		return value{}
	}
	if array {
		out := []byte{'['}
		for _, v := range a {
			if v.kind != arrayKind {
				out = appendElement(out, v.output(in))
				continue
			}
			for raw := range elements(v.raw) {
				out = appendElement(out, fromJSON(raw))
			}
		}
		return value{kind: arrayKind, raw: append(out, ']')}
	}
	return onTexts(func(s []string) value { return textValue(strings.Join(s, "")) })(in, a)
}

// substring takes characters from an index up to another one, which is not
// included; both are clamped.
func substring(in *Input, a []value) value {
	s, ok := a[0].asText(in)
	from, ok2 := a[1].asIndex()
	if !ok || !ok2 {
		return value{}
	}
	r := []rune(s)
	to := len(r)
	if len(a) == 3 {
		if to, ok = a[2].asIndex(); !ok {
			return value{}
		}
	}
	from, to = max(0, min(from, len(r))), max(0, min(to, len(r)))
	if from >= to {
		return textValue("")
	}
	return textValue(string(r[from:to]))
}

func replace(in *Input, a []value) value {
	return onTexts(func(s []string) value {
		grown := len(s[0]) + strings.Count(s[0], s[1])*max(0, len(s[2])-len(s[1]))
		if grown > maxText {
			in.fail(errLarge)
			return value{}
		}
		return textValue(strings.ReplaceAll(s[0], s[1], s[2]))
	})(in, a)
}

// md2 is RFC 1319, for rules that were written with it; it protects nothing.
func md2(m []byte) []byte {
	fill := 16 - len(m)%16
	for range fill {
		m = append(m, byte(fill))
	}
	var sum [16]byte
	var last byte
	for at := 0; at < len(m); at += 16 {
		for i := range 16 {
			sum[i] ^= md2Table[m[at+i]^last]
			last = sum[i]
		}
	}
	m = append(m, sum[:]...)
	var x [48]byte
	for at := 0; at < len(m); at += 16 {
		for i := range 16 {
			x[16+i] = m[at+i]
			x[32+i] = x[16+i] ^ x[i]
		}
		var t byte
		for round := range 18 {
			for i := range x {
				x[i] ^= md2Table[t]
				t = x[i]
			}
			t += byte(round)
		}
	}
	return x[:16]
}

// md2Table is a permutation made of the digits of pi.
var md2Table = [256]byte{
	41, 46, 67, 201, 162, 216, 124, 1, 61, 54, 84, 161, 236, 240, 6, 19,
	98, 167, 5, 243, 192, 199, 115, 140, 152, 147, 43, 217, 188, 76, 130, 202,
	30, 155, 87, 60, 253, 212, 224, 22, 103, 66, 111, 24, 138, 23, 229, 18,
	190, 78, 196, 214, 218, 158, 222, 73, 160, 251, 245, 142, 187, 47, 238, 122,
	169, 104, 121, 145, 21, 178, 7, 63, 148, 194, 16, 137, 11, 34, 95, 33,
	128, 127, 93, 154, 90, 144, 50, 39, 53, 62, 204, 231, 191, 247, 151, 3,
	255, 25, 48, 179, 72, 165, 181, 209, 215, 94, 146, 42, 172, 86, 170, 198,
	79, 184, 56, 210, 150, 164, 125, 182, 118, 252, 107, 226, 156, 116, 4, 241,
	69, 157, 112, 89, 100, 113, 135, 32, 134, 91, 207, 101, 230, 45, 168, 2,
	27, 96, 37, 173, 174, 176, 185, 246, 28, 70, 97, 105, 52, 64, 126, 15,
	85, 71, 163, 35, 221, 81, 175, 58, 195, 92, 249, 206, 186, 197, 234, 38,
	44, 83, 13, 110, 133, 40, 132, 9, 211, 223, 205, 244, 65, 129, 77, 82,
	106, 220, 55, 200, 108, 193, 171, 250, 36, 225, 123, 8, 12, 189, 177, 74,
	120, 136, 149, 139, 227, 99, 232, 109, 233, 203, 213, 254, 59, 0, 29, 57,
	242, 239, 183, 14, 102, 88, 208, 228, 166, 119, 114, 248, 235, 117, 75, 10,
	49, 68, 80, 180, 143, 237, 31, 26, 219, 153, 141, 51, 159, 17, 131, 20,
}
