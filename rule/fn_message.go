package rule

import (
	"encoding/base64"
	"math"
	"math/rand/v2"

	"github.com/google/uuid"
)

// messageFunctions tell of the message and of the rule that runs.
var messageFunctions = map[string]builtin{
	"clientid": {0, 0, false, false, func(in *Input, _ []value) value {
		if in.ClientID == "" {
			return textValue("n/a") // as AWS has it for HTTP
		}
		return textValue(in.ClientID)
	}},
	"timestamp": {0, 0, false, false, func(in *Input, _ []value) value { return intValue(in.Time.UnixMilli()) }},
	"principal": {0, 0, false, false, func(in *Input, _ []value) value { return textOrUndefined(in.Principal) }},
	"accountid": {0, 0, false, false, func(in *Input, _ []value) value { return textOrUndefined(in.Account) }},
	"traceid":   {0, 0, false, false, func(in *Input, _ []value) value { return textOrUndefined(in.Trace) }},
	"newuuid":   {0, 0, false, false, func(*Input, []value) value { return textValue(uuid.NewString()) }},
	"rand":      {0, 0, false, false, func(*Input, []value) value { return floatValue(rand.Float64()) }},
	"sql_version": {0, 0, false, false, func(in *Input, _ []value) value {
		if in.ints {
			return textValue(Version2016)
		}
		return textValue(Version2015)
	}},
	"isnull":              {1, 1, false, false, func(_ *Input, a []value) value { return boolValue(a[0].kind == null) }},
	"isundefined":         {1, 1, false, false, func(_ *Input, a []value) value { return boolValue(a[0].kind == undefined) }},
	"get_mqtt_property":   {1, 1, true, false, mqttProperty},
	"get_user_properties": {1, 1, true, false, userProperties},
}

func textOrUndefined(s string) value {
	if s == "" {
		return value{}
	}
	return textValue(s)
}

func mqttProperty(in *Input, a []value) value {
	have := in.Properties
	if have == nil {
		have = &Properties{}
	}
	switch {
	case a[0].kind != text:
		return value{}
	case a[0].text == "content_type":
		return textOrUndefined(have.ContentType)
	case a[0].text == "response_topic":
		return textOrUndefined(have.ResponseTopic)
	case a[0].text == "correlation_data" && have.Correlation != nil:
		return textValue(base64.StdEncoding.EncodeToString(have.Correlation))
	case a[0].text == "format_indicator" && have.Text:
		return textValue("UTF8_DATA")
	case a[0].text == "format_indicator":
		return textValue("UNSPECIFIED_BYTES")
	}
	return value{}
}

func userProperties(in *Input, a []value) value {
	if a[0].kind != text || in.Properties == nil {
		return value{}
	}
	out := []byte{'['}
	for _, p := range in.Properties.User {
		if p.Name == a[0].text {
			out = appendElement(out, textValue(p.Value))
		}
	}
	if len(out) == 1 {
		return value{}
	}
	return value{kind: arrayKind, raw: append(out, ']')}
}

// numberFunctions compute. Those of floats give doubles, as AWS says.
var numberFunctions = map[string]builtin{
	"abs": onNumber(func(d decimal, asInt bool) value {
		if d.negative {
			d = d.negate()
		}
		return d.rounded().value(asInt)
	}),
	"ceil":  onNumber(func(d decimal, _ bool) value { return d.negate().floor().negate().value(true) }),
	"floor": onNumber(func(d decimal, _ bool) value { return d.floor().value(true) }),
	"sign":  onNumber(func(d decimal, _ bool) value { return intValue(int64(d.sign())) }),
	"round": onNumber(func(d decimal, _ bool) value { return d.half().value(true) }),

	"sqrt": onFloat(math.Sqrt), "exp": onFloat(math.Exp), "ln": onFloat(math.Log), "log": onFloat(math.Log10),
	"sin": onFloat(math.Sin), "cos": onFloat(math.Cos), "tan": onFloat(math.Tan),
	"asin": onFloat(math.Asin), "acos": onFloat(math.Acos), "atan": onFloat(math.Atan),
	"sinh": onFloat(math.Sinh), "cosh": onFloat(math.Cosh), "tanh": onFloat(math.Tanh),
	"power": onFloats(math.Pow), "atan2": onFloats(math.Atan2),

	"mod":       {2, 2, false, false, func(in *Input, a []value) value { return remainder(in, a[0], a[1]) }},
	"remainder": {2, 2, false, false, func(in *Input, a []value) value { return remainder(in, a[0], a[1]) }},

	"trunc": {2, 2, false, false, func(_ *Input, a []value) value {
		d, ok := a[0].asNumber()
		places, ok2 := a[1].asIndex()
		if !ok || !ok2 {
			return value{}
		}
		d = d.cutAt(max(0, min(maxDigits, places))).rounded()
		return d.value(d.exp >= len(d.digits))
	}},
	"nanvl": {2, 2, false, false, func(_ *Input, a []value) value {
		if a[0].kind == undefined || a[0].kind == null {
			return a[1]
		}
		return a[0]
	}},

	"bitand": onBits(func(a, b int64) int64 { return a & b }),
	"bitor":  onBits(func(a, b int64) int64 { return a | b }),
	"bitxor": onBits(func(a, b int64) int64 { return a ^ b }),
	// The documentation's bitnot(13) = 2 contradicts itself; this is the
	// two's complement of every language (unverified).
	"bitnot": {1, 1, false, false, func(_ *Input, a []value) value {
		n, ok := a[0].asInt64()
		if !ok {
			return value{}
		}
		return intValue(^n)
	}},
}

func onNumber(f func(d decimal, asInt bool) value) builtin {
	return builtin{1, 1, false, false, func(_ *Input, a []value) value {
		d, ok := a[0].asNumber()
		if !ok {
			return value{}
		}
		return f(d, a[0].isInt())
	}}
}

func onFloat(f func(float64) float64) builtin {
	return builtin{1, 1, false, false, func(_ *Input, a []value) value {
		d, ok := a[0].asNumber()
		if !ok {
			return value{}
		}
		return floatValue(f(d.float()))
	}}
}

func onFloats(f func(a, b float64) float64) builtin {
	return builtin{2, 2, false, false, func(_ *Input, a []value) value {
		x, ok := a[0].asNumber()
		y, ok2 := a[1].asNumber()
		if !ok || !ok2 {
			return value{}
		}
		return floatValue(f(x.float(), y.float()))
	}}
}

func onBits(f func(a, b int64) int64) builtin {
	return builtin{2, 2, false, false, func(_ *Input, a []value) value {
		x, ok := a[0].asInt64()
		y, ok2 := a[1].asInt64()
		if !ok || !ok2 {
			return value{}
		}
		return intValue(f(x, y))
	}}
}
