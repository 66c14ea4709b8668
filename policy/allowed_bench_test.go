package policy_test

import (
	"testing"

	"strait"
	"strait/policy"
)

// BenchmarkAllowed asks for a device that is named by a variable in each of
// its four statements.
func BenchmarkAllowed(b *testing.B) {
	const at = "arn:aws:iot:ap-northeast-1:123456789012:"
	const thing = "${iot:Connection.Thing.ThingName}"
	d := parse(b, policy.IoT, "device", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iot:Connect","Resource":"`+at+`client/`+thing+`"},
		{"Effect":"Allow","Action":"iot:Publish","Resource":"`+at+`topic/`+thing+`/token/req"},
		{"Effect":"Allow","Action":"iot:Subscribe","Resource":"`+at+`topicfilter/`+thing+`/token/res"},
		{"Effect":"Allow","Action":"iot:Receive","Resource":"`+at+`topic/`+thing+`/token/res"}]}`)
	s := policy.Set{IoT: []*policy.Document{d}}
	x := policy.Context{"iot:connection.thing.thingname": {"device00"}, "iot:clientid": {"device00"}}
	for _, topic := range []string{"device00", "device01"} {
		r := policy.Request{Principal: principal(b, "cert"), Action: "iot:Receive", Resource: strait.ARN(at + "topic/" + topic + "/token/res"), Context: x}
		b.Run(topic, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Allowed(r)
			}
		})
	}
}
