package policy

import "strings"

// certificateKeys begin the names of everything read from a certificate.
const certificateKeys = "iot:certificate."

// Supplied tells whether Strait ever gives the condition key a value, in any
// case. A key that is supplied and absent follows the rules of absence; about
// one that is never supplied nothing can be known, so an Allow that names it
// does not match and a Deny that names it does. (iam-evaluation §5, iot-policies §5)
//
// Three of them have no value here ever, and that is known, too: nobody signs in
// with MFA (aws:MultiFactorAuthAge), no service calls on behalf of a user
// (aws:CalledVia), and there are no event source mappings (lambda:FunctionArn).
func Supplied(key string) bool {
	key = strings.ToLower(key)
	switch key {
	case "aws:currenttime", "aws:epochtime", "aws:securetransport", "aws:sourceip",
		"aws:requestedregion", "aws:principalaccount", "aws:principaltype", "aws:principalarn",
		"aws:useragent", "aws:referer", "aws:userid", "aws:username", "aws:tokenissuetime",
		"aws:multifactorauthpresent", "aws:multifactorauthage", "aws:tagkeys",
		"aws:sourceidentity", "aws:sourcearn", "aws:sourceaccount",
		"aws:viaawsservice", "aws:calledvia",
		"sts:externalid", "sts:rolesessionname", "sts:sourceidentity", "sts:transitivetagkeys",
		"s3:prefix", "s3:delimiter", "s3:max-keys", "s3:x-amz-acl",
		"s3:x-amz-server-side-encryption", "s3:x-amz-content-sha256", "s3:authtype",
		"s3:signatureage", "s3:signatureversion", "s3:if-none-match", "s3:if-match",
		"s3:requestobjecttagkeys", "s3:x-amz-copy-source", "s3:x-amz-metadata-directive", "s3:x-amz-storage-class",
		"s3:objectcreationoperation", "s3:tlsversion",
		"iam:passedtoservice", "iam:permissionsboundary", "iam:policyarn",
		"lambda:functionarn", "lambda:principal",
		"iot:clientid", "iot:domainname", "iot:connectattributes", "iot:lastwilltopic",
		"iot:topic", "iot:includesocketinformation",
		"iot:connection.thing.thingname", "iot:connection.thing.thingtypename",
		"iot:connection.thing.isattached":
		return true
	}
	for _, prefix := range [...]string{
		"aws:principaltag/", "aws:requesttag/", "aws:resourcetag/", "iam:resourcetag/", "s3:requestobjecttag/", "s3:existingobjecttag/",
		"credentials-iot:", certificateKeys, "iot:connection.thing.attributes[",
	} {
		if strings.HasPrefix(key, prefix) && len(key) > len(prefix) {
			return true
		}
	}
	return false
}
