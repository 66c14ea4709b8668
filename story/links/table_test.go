package links_test

// A variant says whom trust policies name. IAM treats the two differently: a
// trust that names the caller itself is enough, one that names the account
// leaves the choice to the caller's own policies.
type variant string

const (
	byARN     variant = "trust by ARN"
	byAccount variant = "trust by account"
)

// A step is a part of a chain that works or breaks as a whole.
type step string

// The steps of the upload pattern, in order. A device sees only some of them:
// whatever breaks between its request and its credentials looks the same to it.
const (
	wire      step = "the operator gives the function its role"
	connect   step = "Connect"
	subscribe step = "Subscribe"
	publish   step = "Publish"
	match     step = "the rule takes the message"
	invoke    step = "the rule invokes the function"
	start     step = "the function takes its role"
	assume    step = "AssumeRole"
	answer    step = "the function publishes the credentials"
	receive   step = "Receive"
	put       step = "PutObject"
)

// Orders of the steps. Those of the topic pattern have the same names:
// AssumeRole is the client's own there, and comes first.
var (
	uploadSteps = []step{wire, connect, subscribe, publish, match, invoke, start, assume, answer, receive, put}
	topicSteps  = []step{assume, connect, subscribe, publish, receive}
)

// A link is one thing that has to be as it is for a pattern to work.
type link struct {
	name string
	step step // what breaks without it

	// What strait explain has to say of it: who refuses, and a part of the
	// document's name, or of what it says in there.
	layer    string
	document string

	// redundant says why the link breaks nothing in a variant; absent: it does.
	redundant map[variant]string

	// take takes the link away and returns how to put it back.
	take func(*house) (restore func())
}

// always is a link that no variant needs.
func always(why string) map[variant]string {
	return map[variant]string{byARN: why, byAccount: why}
}

// uploadLinks are the links of the upload pattern (P1): a device asks on
// <thing>/token/req, a rule invokes the function, which takes the upload role
// narrowed to the thing's prefix and publishes the credentials to
// <thing>/token/res, with which the device puts its object.
var uploadLinks = []link{
	{"the operator's PassRole", wire, "identity policy", "of user operator", nil, (*house).operatorWithoutPassRole},

	// The device.
	{"certificate ACTIVE", connect, "certificate", "cert/", nil, (*house).certificateInactive},
	{"policy attached", connect, "iot policy", "an IoT policy attached to", nil, (*house).policyDetached},
	{"Connect", connect, "iot policy", thingPolicy, nil, device("iot:Connect")},
	{"Subscribe", subscribe, "iot policy", thingPolicy, nil, device("iot:Subscribe")},
	{"Publish", publish, "iot policy", thingPolicy, nil, device("iot:Publish")},
	{"Receive", receive, "iot policy", thingPolicy, nil, device("iot:Receive")},

	// The rule and its function.
	{"the rule enabled", match, "topic rule", ruleName, nil, (*house).ruleDisabled},
	{"the function's permission", invoke, "resource policy", "function:" + functionName, nil, (*house).permissionRemoved},
	{"its SourceArn names the rule", invoke, "resource policy", "AWS:SourceArn ArnLike", nil, (*house).permissionForOtherRule},
	{"its SourceAccount names the account", invoke, "resource policy", "AWS:SourceAccount StringEquals", nil, (*house).permissionForOtherAccount},
	{"its SourceArn", invoke, "resource policy", "", always("without it any rule of the account may invoke, this one, too"), (*house).permissionWithoutArn},
	{"its SourceAccount", invoke, "resource policy", "", always("the SourceArn holds the account"), (*house).permissionWithoutAccount},
	{"the function role's trust", start, "trust policy", functionRole, nil, (*house).functionRoleDistrusts},

	// What the function may do.
	{"the function's logs", start, "identity policy", "", always("without AWSLambdaBasicExecutionRole only the logs stop"), detached(functionRole, "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")},
	{"the function's AssumeRole", assume, "identity policy", "role/" + functionRole, map[variant]string{byARN: "the upload role's trust names the function's role itself"}, roleWithout(functionRole, "sts:AssumeRole")},
	{"the upload role's trust", assume, "trust policy", uploadRole, nil, trustOf(uploadRole, nobodysTrust)},
	{"the function's Publish", answer, "identity policy", "role/" + functionRole, nil, roleWithout(functionRole, "iot:Publish")},

	// What the credentials may do.
	{"the upload role's PutObject", put, "identity policy", "role/" + uploadRole, nil, roleWithout(uploadRole, "s3:PutObject")},
	{"the session's PutObject", put, "session policy", "session policy of " + thing, nil, (*house).sessionForOtherBucket},
}

// topicLinks are the links of the topic pattern (P2): a client takes a role
// that may do everything in IoT, with a session policy for one topic, and
// connects by WebSocket.
var topicLinks = []link{
	{"the caller's AssumeRole", assume, "identity policy", "inline policy of arn:aws:iam::123456789012:user/" + caller, map[variant]string{byARN: "the role's trust names the caller itself"}, userWithout(caller, "sts:AssumeRole")},
	{"the role's trust", assume, "trust policy", topicRole, nil, trustOf(topicRole, nobodysTrust)},
	{"the role's managed policy", connect, "identity policy", "role/" + topicRole, nil, detached(topicRole, "arn:aws:iam::aws:policy/AWSIoTFullAccess")},
	{"the session's Connect", connect, "session policy", "session policy of " + client, nil, session("iot:Connect")},
	{"the session's Subscribe", subscribe, "session policy", "session policy of " + client, nil, session("iot:Subscribe")},
	{"the session's Publish", publish, "session policy", "session policy of " + client, nil, session("iot:Publish")},
	{"the session's Receive", receive, "session policy", "session policy of " + client, nil, session("iot:Receive")},
}
