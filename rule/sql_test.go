package rule_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"strait"
	"strait/rule"
)

// input is what every golden below is applied to, with its own payload.
func input(payload string) *rule.Input {
	return &rule.Input{
		Topic: "device00/token/req", Payload: []byte(payload), ClientID: "device00",
		Principal: strings.Repeat("ab", 32), Trace: "t-1", Account: "123456789012",
		Time: time.UnixMilli(1700000000123),
	}
}

const none = "(nothing)" // WHERE does not hold

// evaluate returns the document, none, or the error's sentence.
func evaluate(t *testing.T, sql, version, payload string) string {
	t.Helper()
	s, err := rule.Parse(sql, version)
	if err != nil {
		t.Fatalf("Parse(%q): %v", sql, err)
	}
	doc, ok, err := s.Eval(input(payload))
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !ok:
		return none
	}
	return string(doc)
}

func TestSelect(t *testing.T) {
	const p1 = `SELECT topic(1) AS name, clientToken, purpose, duration FROM '+/token/req'`
	for _, c := range []struct{ sql, payload, want string }{
		// the statement of setup: absent fields are dropped, the name never comes from the payload
		{p1, `{}`, `{"name":"device00"}`},
		{p1, ``, `{"name":"device00"}`},
		{p1, `not json`, `{"name":"device00"}`},
		{p1, `{"name":"other","purpose":"upload","duration":900,"clientToken":"c<1>"}`, `{"name":"device00","clientToken":"c<1>","purpose":"upload","duration":900}`},
		{p1, `{"purpose":null,"duration":{"a":[1, 2]}}`, `{"name":"device00","purpose":null,"duration":{"a":[1,2]}}`},
		{`SELECT topic(1) AS name FROM '+/token/req'`, `{"name":"x"}`, `{"name":"device00"}`},
		// star
		{`SELECT * FROM 'a'`, ` { "b" : 1.50, "a" : "\u00e9<" } `, `{"b":1.50,"a":"\u00e9<"}`},
		{`SELECT * FROM 'a'`, ``, ``},
		{`SELECT * FROM 'a'`, `[1, 2]`, `[1,2]`},
		{`SELECT * FROM 'a'`, `80`, `80`},
		{`SELECT *, 15 AS speed FROM 'a'`, `{"a":1}`, `{"a":1,"speed":15}`},
		{`SELECT *, 15 AS speed FROM 'a'`, ``, `{"speed":15}`},
		{`SELECT * AS message, topic(3) AS t FROM 'a'`, `{"a":1}`, `{"message":{"a":1},"t":"req"}`},
		{`SELECT * AS message FROM 'a'`, `[1]`, `{"message":[1]}`},
		// what the rule names stands last and never falls back to the payload
		{`SELECT *, topic(1) AS name FROM 'a'`, `{"name":"x","NAME":"y","a":1}`, `{"NAME":"y","a":1,"name":"device00"}`},
		{`SELECT *, topic(9) AS name FROM 'a'`, `{"name":"x","a":1}`, `{"a":1}`},
		{`SELECT * FROM 'a'`, `{"a":1,"a":2}`, `{"a":1,"a":2}`},
		{`SELECT *, 1 AS b FROM 'a'`, `{"a":1,"a":2}`, `{"a":2,"b":1}`},
		{`SELECT a FROM 'a'`, `{"a":1,"a":2}`, `{"a":2}`},
		// paths and aliases
		{`SELECT a.b.c, x.y AS z FROM 'a'`, `{"a":{"b":{"c":[true,{"d":"}"}]}},"x":{"y":"]\""}}`, `{"c":[true,{"d":"}"}],"z":"]\""}`},
		{`SELECT a.b FROM 'a'`, `{"a":[{"b":1}]}`, `{}`},
		{`SELECT a.b FROM 'a'`, `{"a":"b"}`, `{}`},
		{`SELECT a.b FROM 'a'`, `{"A":{"b":1}}`, `{}`},
		{`SELECT foo.bar AS a.b, 1 AS a.c, 'x' AS d FROM 'a'`, `{"foo":{"bar":2}}`, `{"a":{"b":2,"c":1},"d":"x"}`},
		{`SELECT *, 1 AS a.b.c FROM 'a'`, `{"a":{"b":{"x":0},"y":9}}`, `{"a":{"b":{"x":0,"c":1},"y":9}}`},
		{`SELECT *, 1 AS a.b FROM 'a'`, `{"a":7,"c":1}`, `{"c":1,"a":{"b":1}}`},
		{`SELECT *, no AS a.b FROM 'a'`, `{"a":{"b":1,"c":2}}`, `{"a":{"c":2}}`},
		{`SELECT 1 AS a, 2 AS a FROM 'a'`, ``, `{"a":2}`},
		{`SELECT value, end, state.from AS as FROM 'a'`, `{"value":1,"end":2,"state":{"from":3}}`, `{"value":1,"end":2,"as":3}`},
		// functions and literals
		{`select TOPIC(), clientid() as c, timestamp() as ts, principal() as p, accountid() as acc, traceid() as tr from "a"`, ``,
			`{"TOPIC":"device00/token/req","c":"device00","ts":1700000000123,"p":"` + strings.Repeat("ab", 32) + `","acc":"123456789012","tr":"t-1"}`},
		{`SELECT 'it "is"' AS a, "it's" AS b, -01.50 AS c, 1E3 AS d, TRUE AS e, null AS f FROM 'a'`, ``, `{"a":"it \"is\"","b":"it's","c":-1.50,"d":1E3,"e":true,"f":null}`},
		{`SELECT a = 1 AS eq, NOT a > 1 AS gt FROM 'a'`, `{"a":1.0}`, `{"eq":true,"gt":true}`},
		{`SELECT isUndefined(x) AS u, isNull(y) AS n, isNull(x) AS m FROM 'a'`, `{"y":null}`, `{"u":true,"n":true,"m":false}`},
		// no FROM: Basic Ingest only
		{`SELECT a`, `{"a":1}`, `{"a":1}`},
		// failures at run time
		{`SELECT * FROM 'a'`, "\xff", "\xff"},
		{`SELECT * FROM 'a'`, "{\"a\":\"\xff\"}", "{\"a\":\"\xff\"}"},
		{`SELECT *, 1 AS b FROM 'a'`, "{\"a\":\"\xff\"}", "error: the payload is not JSON, so * cannot be joined with other items; use encode(*, 'base64') AS name"},
		{`SELECT *, 1 AS a FROM 'a'`, `[1]`, `error: the payload is no JSON object, so * cannot be merged with other items; use * AS name`},
	} {
		if got := evaluate(t, c.sql, "", c.payload); got != c.want {
			t.Errorf("%s\n of %s\n got %s\nwant %s", c.sql, c.payload, got, c.want)
		}
	}
}

func TestWholeDecimals(t *testing.T) {
	const sql, payload = `SELECT a, b, c, d, 7.0 AS e FROM 'a'`, `{"a":10.0,"b":1.5e1,"c":-2.50,"d":1e400}`
	for version, want := range map[string]string{
		"":               `{"a":10.0,"b":1.5e1,"c":-2.50,"d":1e400,"e":7.0}`,
		rule.Version2015: `{"a":10.0,"b":1.5e1,"c":-2.50,"d":1e400,"e":7.0}`,
		rule.Version2016: `{"a":10,"b":15,"c":-2.50,"d":1e400,"e":7}`,
		rule.VersionBeta: `{"a":10,"b":15,"c":-2.50,"d":1e400,"e":7}`,
	} {
		if got := evaluate(t, sql, version, payload); got != want {
			t.Errorf("version %q: got %s, want %s", version, got, want)
		}
	}
}

// Each condition is written as a value, so that Undefined (dropped) and false
// can be told apart.
func TestConditions(t *testing.T) {
	const payload = `{"n":5,"s":"5","w":"word","t":true,"ts":"True","z":null,"o":{"a":1,"b":[1.0]},"p":{"b":[1],"a":1e0},"l":[1,2],"huge":1e999999,"deep":{"n":7}}`
	for cond, want := range map[string]string{
		`n = 5`: "true", `n = 5.0`: "true", `n = 50e-1`: "true", `n = '5'`: "false", `n <> '5'`: "true", `s = '5'`: "true",
		`n > 4`: "true", `n >= 5`: "true", `n < 5`: "false", `n <= 5`: "true", `s > 4`: "true", `4 < s`: "true", `deep.n > n`: "true",
		`w > 4`: "undefined", `w > 'a'`: "undefined", `t > 0`: "undefined", `z > 0`: "undefined", `z < 0`: "undefined", `o > 0`: "undefined",
		`no = 1`: "undefined", `no <> 1`: "undefined", `no = no`: "undefined", `NOT no`: "undefined",
		`z = null`: "true", `z <> null`: "false", `z = 0`: "false", `n <> null`: "true",
		`o = p`: "true", `o <> p`: "false", `l = o`: "false", `l = l`: "true",
		`t AND n = 5`: "true", `ts AND t`: "true", `t AND w`: "undefined", `t OR no`: "undefined", `t OR n`: "undefined", `no AND no OR t`: "undefined",
		`NOT t`: "false", `NOT 'FALSE'`: "true", `NOT NOT t`: "true", `NOT n`: "undefined",
		// AND binds more than OR, NOT more than AND, = more than NOT
		`t OR t AND n = 6`: "true", `(t OR t) AND n = 6`: "false", `NOT n = 6 AND n = 6`: "false", `NOT (n = 6 AND n = 6)`: "true",
		`-1 < 0`: "true", `0.1 < 0.10`: "false", `-0 = 0`: "true", `-2 < -1.5`: "true", `1e2 > 99.999`: "true", `100 > 99`: "true", `'+5' > 1`: "undefined", `'.5' > 0`: "undefined", `'5E+1' > 1`: "undefined", `'5e1' > 49`: "true",
		`12345678901234567890123456789012345 > 1`:                                 "refused",
		`1234567890123456789012345678901234 > 1234567890123456789012345678901233`: "true",
		`huge > 1`: "undefined", `huge = huge`: "true", `huge = 1`: "false",
		`(n = 5) = t`: "true", `topic(2) = 'token'`: "true", `topic(4) = 'x'`: "undefined",
	} {
		s, err := rule.Parse("SELECT "+cond+" AS v, 1 AS x FROM 'a'", "")
		got := "refused"
		if err == nil {
			doc, _, err := s.Eval(input(payload))
			if err != nil {
				t.Fatal(err)
			}
			var out struct{ V *bool }
			if err := json.Unmarshal(doc, &out); err != nil {
				t.Fatal(err)
			}
			switch {
			case out.V == nil:
				got = "undefined"
			case *out.V:
				got = "true"
			default:
				got = "false"
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", cond, got, want)
		}
		if want == "refused" {
			continue
		}
		// WHERE lets through what is true, and nothing else.
		if doc := evaluate(t, "SELECT 1 AS x FROM 'a' WHERE "+cond, "", payload); (doc != none) != (want == "true") {
			t.Errorf("WHERE %s (%s): got %s", cond, want, doc)
		}
	}
	for _, cond := range []string{`n`, `'true'`, `o`, `null`, `no`} {
		if doc := evaluate(t, "SELECT 1 AS x FROM 'a' WHERE "+cond, "", payload); doc != none {
			t.Errorf("WHERE %s, which is no Boolean: got %s", cond, doc)
		}
	}
}

func TestRefusals(t *testing.T) {
	for sql, want := range map[string]string{
		``:                                                 "a statement begins with SELECT",
		`SELECT`:                                           "ends too early",
		`SELECT FROM 'a'`:                                  `"FROM" does not belong here`,
		`DELETE FROM 'a'`:                                  "a statement begins with SELECT",
		`SET @a = 1 SELECT 1 AS a`:                         "SET clause",
		`SELECT a b FROM 'a'`:                              `"b" does not belong here`,
		`SELECT a, FROM 'a'`:                               `"FROM" does not belong here`,
		`SELECT 1 FROM 'a'`:                                "add AS name",
		`SELECT a = 1 FROM 'a'`:                            "add AS name",
		`SELECT a AS FROM 'a'`:                             `does not belong here`,
		`SELECT a AS 'b' FROM 'a'`:                         `"b" is not a name`,
		`SELECT a.* FROM 'a'`:                              "* behind a dot",
		`SELECT a.`:                                        "ends too early",
		`SELECT client-token FROM 'a'`:                     "character 8: this item needs a name",
		`SELECT a + 1 FROM 'a'`:                            "add AS name",
		`SELECT a + - b AS c FROM 'a'`:                     "a sign is offered before a number only",
		`SELECT a[0] FROM 'a'`:                             "get(array, index)",
		`SELECT {'a': 1} AS a FROM 'a'`:                    "an object in the statement needs the SQL version",
		`SELECT (SELECT a FROM b) AS c FROM 'a'`:           "a nested query needs the SQL version",
		`SELECT a FROM b`:                                  "FROM takes a topic filter in quotes",
		`SELECT lower(a, b) AS b FROM 'a'`:                 "lower() takes no more than 1 arguments",
		`SELECT aws_lambda('x', a) AS b`:                   "aws_lambda() takes the ARN of a function",
		`SELECT topic(0) AS b FROM 'a'`:                    "the first level of the topic is 1",
		`SELECT topic('1') AS b FROM 'a'`:                  "takes a whole number",
		`SELECT topic(1, 2) AS b FROM 'a'`:                 "no more arguments",
		`SELECT clientid(1) AS b FROM 'a'`:                 "no more than 0 arguments",
		`SELECT a FROM 'a' WHERE a IN b`:                   "the operator IN",
		`SELECT a FROM 'a' WHERE a LIKE 'b'`:               "the operator LIKE",
		`SELECT a FROM 'a' WHERE a = b = c`:                "cannot follow each other",
		`SELECT a FROM 'a' WHERE a == b`:                   "does not belong here",
		`SELECT a FROM 'a' WHERE a != b`:                   `"!" is not offered`,
		`SELECT a FROM 'a' WHERE`:                          "ends too early",
		`SELECT a FROM 'a' WHERE (a`:                       "the parenthesis is not closed",
		`SELECT a FROM 'a' WHERE a)`:                       `")" does not belong here`,
		`SELECT a FROM 'a';`:                               `";" is not offered`,
		`SELECT a FROM 'a`:                                 "no closing '",
		`SELECT 'a\n' AS b FROM 'a'`:                       "backslash",
		`SELECT 'it''s' AS b FROM 'a'`:                     "does not belong here",
		`SELECT 1a AS b FROM 'a'`:                          "neither a number nor a name",
		`SELECT 1. AS b FROM 'a'`:                          "is no number",
		`SELECT 1e5000 AS b FROM 'a'`:                      "a number has at most",
		"SELECT \xff FROM 'a'":                             "not UTF-8",
		`SELECT a FROM ''`:                                 "topic filter is empty",
		`SELECT a FROM 'a/#/b'`:                            "'#' must be the last level",
		`SELECT a FROM 'a#'`:                               "'#' must be the last level",
		`SELECT a FROM 'a+/b'`:                             "'+' must be a whole level",
		"SELECT a FROM 'a\x00'":                            "not UTF-8 text",
		`SELECT a FROM '` + strings.Repeat("a", 257) + `'`: "more than 256 bytes",
		`SELECT a FROM 'a' WHERE ` + strings.Repeat("(", 65) + `a` + strings.Repeat(")", 65):       "more than 64 levels",
		`SELECT a FROM 'a' WHERE ` + strings.Repeat("NOT ", 65) + `a`:                              "more than 64 levels",
		`SELECT a FROM 'a' WHERE ` + strings.Repeat("isNull(", 65) + `a` + strings.Repeat(")", 65): "more than 64 levels",
		`SELECT ` + strings.Repeat("a,", rule.MaxSQL/2) + `a FROM 'a'`:                             "at most 16384 are allowed",
	} {
		_, err := rule.Parse(sql, "")
		var e *strait.Error
		if !errors.As(err, &e) || e.Kind != strait.Invalid || e.Thing != "sql" || !strings.Contains(e.Message, want) {
			t.Errorf("Parse(%.80q): got %v, want Invalid sql with %q", sql, err, want)
		}
	}
	if _, err := rule.Parse("SELECT a", "2017-01-01"); strait.KindOf(err) != strait.Invalid {
		t.Errorf("an unknown version: got %v, want Invalid", err)
	}
}

// A rule cannot be used to fill the memory with one message.
func TestDocumentIsBounded(t *testing.T) {
	payload := `{"a":"` + strings.Repeat("x", 100_000) + `"}`
	sql := "SELECT * AS x" + strings.Repeat(", * AS b, a.a AS y", 400) + " FROM 'a'"
	for i := range 400 {
		sql = strings.Replace(sql, "AS b", "AS b"+string(rune('a'+i%26))+string(rune('a'+i/26)), 1)
	}
	if got := evaluate(t, sql, "", payload); !strings.Contains(got, "at most") && !strings.Contains(got, "more than") {
		t.Errorf("got %.100s, want a refusal", got)
	}
	var b strings.Builder
	b.WriteString(`{"k":0`)
	for i := range 12_000 {
		b.WriteString(`,"` + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + `":1`)
	}
	begin := time.Now()
	evaluate(t, "SELECT *, 1 AS one FROM 'a'", "", b.String()+"}")
	// It takes a fifth of a second; much more on a busy machine, with the race detector.
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("12,000 members took %v", d)
	}
}

// FuzzSQL: what is accepted can be written back, means the same then, and
// makes valid JSON of any payload; nothing panics.
func FuzzSQL(f *testing.F) {
	for _, sql := range []string{
		`SELECT topic(1) AS name, clientToken, purpose, duration FROM '+/token/req'`,
		`SELECT *, a.b AS c.d, 1.50e-3 AS n FROM "x'y/#" WHERE NOT (a = 1 OR b <> 'c') AND (x >= -2 AND y) OR isNull(z)`,
		`SELECT * AS a, value FROM '$aws/things/+/shadow/update' WHERE (a = b) = (c < d)`,
		`SELECT isUndefined(a AND b) AS x, topic(), clientid() WHERE true`,
		`SELECT VALUE (SELECT a + 1 AS b, {'c': [1, 'x']} AS d FROM x WHERE y > 1 % 2) FROM 'a'`,
		`SELECT CASE a.b WHEN 'x' THEN 1 - (2 - 3) ELSE get(x, 0).y END AS v, cast(z AS Int) AS i, encode(*, 'base64') AS e`,
		`SELECT regexp_replace(a, '(\d)', '$1') AS r, parse_time('yyyy', timestamp()) AS t, substring(a, 1, 2) AS s WHERE concat(a, b) <> -1.5`,
	} {
		f.Add(sql, `{"a":{"b":"\u00e9\"}"},"x":[1,{"y":2.0}],"z":null,"value":-1e5}`)
		f.Add(sql, ``)
		f.Add(sql, `[1,2]`)
	}
	f.Fuzz(func(t *testing.T, sql, payload string) {
		s, err := rule.Parse(sql, rule.Version2016)
		if err != nil {
			if s != nil || strait.KindOf(err) != strait.Invalid {
				t.Fatalf("Parse(%q): %v, %v", sql, s, err)
			}
			return
		}
		again, err := rule.Parse(s.String(), rule.Version2016)
		if err != nil {
			if len(s.String()) > rule.MaxSQL { // " AS name" may make it longer
				return
			}
			t.Fatalf("%q written back as %q: %v", sql, s, err)
		}
		if again.String() != s.String() || again.Filter() != s.Filter() {
			t.Fatalf("%q written back as %q, then as %q", sql, s, again)
		}
		if strings.Contains(strings.ToLower(sql), "newuuid") || strings.Contains(strings.ToLower(sql), "rand") {
			return
		}
		doc, ok, err := s.Eval(input(payload))
		doc2, ok2, err2 := again.Eval(input(payload))
		if string(doc) != string(doc2) || ok != ok2 || (err == nil) != (err2 == nil) {
			t.Fatalf("%q of %q: %q %v %v; written back: %q %v %v", sql, payload, doc, ok, err, doc2, ok2, err2)
		}
		if err == nil && ok && len(doc) > 0 && string(doc) != payload && !json.Valid(doc) {
			t.Fatalf("%q of %q: %q is no JSON", sql, payload, doc)
		}
	})
}

// FuzzPayload: our reading of members agrees with encoding/json's.
func FuzzPayload(f *testing.F) {
	for _, p := range []string{`{"b":"\",\"a\":3,","a":{"b":"\\\"}"}}`, `{"a":{"b":[1,"}"]},"a":2,"\u0061":"x\\"}`, `{"a":{"a":-1.5e+7}}`, `"\ud800"`, ` { } `, `{"b":[[{}],{}],"a":null}`} {
		f.Add(p)
	}
	s, err := rule.Parse(`SELECT a, a.b AS ab, a.a.a AS aaa`, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		doc, ok, err := s.Eval(input(payload))
		if err != nil || !ok {
			return
		}
		var got, in map[string]any
		if err := json.Unmarshal(doc, &got); err != nil {
			t.Fatalf("%q: %q: %v", payload, doc, err)
		}
		var whole any
		want := map[string]any{}
		if json.Unmarshal([]byte(payload), &whole) == nil && !strings.Contains(string(doc), "\ufffd") {
			in, _ = whole.(map[string]any)
			put(want, "a", in, "a")
			put(want, "ab", in, "a", "b")
			put(want, "aaa", in, "a", "a", "a")
			g, _ := json.Marshal(got)
			w, _ := json.Marshal(want)
			if string(g) != string(w) {
				t.Fatalf("%q: got %s, want %s", payload, g, w)
			}
		}
	})
}

func put(to map[string]any, name string, in any, path ...string) {
	for _, p := range path {
		m, ok := in.(map[string]any)
		if !ok {
			return
		}
		if in, ok = m[p]; !ok {
			return
		}
	}
	to[name] = in
}
