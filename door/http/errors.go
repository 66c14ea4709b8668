package http

import (
	"net/http"

	"strait"
)

// A reply is how a protocol says one failure: its code and HTTP status.
type reply struct {
	code   string
	status int
}

// codes map the kind and thing of an error to a reply; the thing "" stands
// for all that have no entry of their own. Sources: sigv4.md section 7,
// s3-upload.md section 11, iam-control-plane.md section 4, sts.md section
// 2.5, iot-control-plane.md section 1, lambda-runtime.md section 6.
type codes map[strait.Kind]map[string]reply

func lookup(c codes, e *strait.Error) (string, int) {
	if r, ok := c[e.Kind][e.Thing]; ok {
		return r.code, r.status
	}
	if r, ok := c[e.Kind][""]; ok {
		return r.code, r.status
	}
	r := c[strait.Internal][""]
	return r.code, r.status
}

// later tells clients when to come again, where waiting helps: the header that
// curl, browsers and the SDKs' retries know.
func later(h http.Header, status int) {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
}

const (
	badRequest   = http.StatusBadRequest
	forbidden    = http.StatusForbidden
	notFound     = http.StatusNotFound
	conflict     = http.StatusConflict
	tooLarge     = http.StatusRequestEntityTooLarge
	unavailable  = http.StatusServiceUnavailable
	internal     = http.StatusInternalServerError
	notAllowed   = http.StatusMethodNotAllowed
	preFailed    = http.StatusPreconditionFailed
	notOffered   = http.StatusNotImplemented
	noLength     = http.StatusLengthRequired
	rangeInvalid = http.StatusRequestedRangeNotSatisfiable
)

var queryCodes = codes{
	strait.Internal: {"": {"ServiceFailure", internal}},
	strait.Invalid: {
		"": {"ValidationError", badRequest}, "action": {"InvalidAction", badRequest}, "policy document": {"MalformedPolicyDocument", badRequest},
		"session policy": {"MalformedPolicyDocument", badRequest}, "malformed input": {"MalformedInput", badRequest}, "input": {"InvalidInput", badRequest},
		"parameter value":   {"InvalidParameterValue", badRequest},
		"missing parameter": {"MissingParameter", badRequest}, "two credentials": {"IncompleteSignature", badRequest},
	},
	strait.Unauthenticated: {
		"": {"IncompleteSignature", badRequest}, "credentials": {"MissingAuthenticationToken", forbidden},
		"key": {"InvalidClientTokenId", forbidden}, "token": {"InvalidClientTokenId", forbidden}, "expired token": {"ExpiredToken", forbidden},
		"signature": {"SignatureDoesNotMatch", forbidden}, "skew": {"SignatureDoesNotMatch", forbidden}, "scope": {"SignatureDoesNotMatch", forbidden},
		"signed headers": {"SignatureDoesNotMatch", forbidden}, "expired request": {"SignatureDoesNotMatch", forbidden}, "early request": {"SignatureDoesNotMatch", forbidden},
	},
	strait.Denied:      {"": {"AccessDenied", forbidden}},
	strait.NotFound:    {"": {"NoSuchEntity", notFound}},
	strait.Exists:      {"": {"EntityAlreadyExists", conflict}},
	strait.Conflict:    {"": {"ConcurrentModification", conflict}, "deletion": {"DeleteConflict", conflict}},
	strait.TooLarge:    {"": {"RequestEntityTooLarge", tooLarge}, "packed policy": {"PackedPolicyTooLarge", badRequest}},
	strait.Limit:       {"": {"LimitExceeded", conflict}},
	strait.Unsupported: {"": {"ValidationError", badRequest}},
	strait.Unavailable: {"": {"ServiceUnavailable", unavailable}},
}

// restAuthentication is what the JSON services say of callers that could not
// be proven.
var restAuthentication = map[string]reply{
	"": {"IncompleteSignatureException", badRequest}, "credentials": {"MissingAuthenticationTokenException", forbidden},
	"key": {"UnrecognizedClientException", forbidden}, "token": {"UnrecognizedClientException", forbidden}, "expired token": {"ExpiredTokenException", forbidden},
	"signature": {"InvalidSignatureException", forbidden}, "skew": {"InvalidSignatureException", forbidden}, "scope": {"InvalidSignatureException", forbidden},
	"signed headers": {"InvalidSignatureException", forbidden}, "expired request": {"InvalidSignatureException", forbidden}, "early request": {"InvalidSignatureException", forbidden},
}

var restCodes = map[string]codes{
	"iot": {
		strait.Internal: {"": {"InternalFailureException", internal}},
		strait.Invalid: {
			"": {"InvalidRequestException", badRequest}, "policy document": {"MalformedPolicyException", badRequest},
			"sql": {"SqlParseException", badRequest}, "certificate": {"CertificateValidationException", badRequest},
			"registration code": {"RegistrationCodeValidationException", badRequest}, "provisioning": {"ResourceRegistrationFailureException", badRequest},
		},
		strait.Unauthenticated: restAuthentication,
		strait.Denied:          {"": {"AccessDeniedException", forbidden}, "rule": {"UnauthorizedException", http.StatusUnauthorized}},
		strait.NotFound:        {"": {"ResourceNotFoundException", notFound}, "rule": {"UnauthorizedException", http.StatusUnauthorized}, "destination": {"UnauthorizedException", http.StatusUnauthorized}},
		strait.Exists:          {"": {"ResourceAlreadyExistsException", conflict}, "destination": {"ConflictingResourceUpdateException", conflict}},
		strait.Conflict: {
			"": {"ConflictingResourceUpdateException", conflict}, "deletion": {"DeleteConflictException", conflict},
			"certificate state": {"CertificateStateException", http.StatusNotAcceptable}, "certificate": {"CertificateConflictException", conflict}, "version": {"VersionConflictException", conflict},
		},
		strait.TooLarge:    {"": {"InvalidRequestException", badRequest}},
		strait.Limit:       {"": {"LimitExceededException", http.StatusGone}, "iot policy version": {"VersionsLimitExceededException", conflict}, "template version": {"VersionsLimitExceededException", conflict}, "iot policy": {"MalformedPolicyException", badRequest}},
		strait.Unsupported: {"": {"InvalidRequestException", badRequest}, "operation": {"UnknownOperationException", notOffered}, "method": {"MethodNotAllowedException", notAllowed}},
		strait.Unavailable: {"": {"ServiceUnavailableException", unavailable}},
	},
	"iotdata": {
		strait.Internal:        {"": {"InternalFailureException", internal}},
		strait.Invalid:         {"": {"InvalidRequestException", badRequest}, "encoding": {"UnsupportedDocumentEncodingException", http.StatusUnsupportedMediaType}},
		strait.Unauthenticated: dataAuthentication,
		strait.Denied:          {"": {"ForbiddenException", forbidden}},
		strait.NotFound:        {"": {"ResourceNotFoundException", notFound}},
		strait.Exists:          {"": {"ConflictException", conflict}},
		strait.Conflict:        {"": {"ConflictException", conflict}},
		strait.TooLarge:        {"": {"RequestEntityTooLargeException", tooLarge}},
		strait.Limit:           {"": {"ThrottlingException", http.StatusTooManyRequests}},
		strait.Unsupported:     {"": {"InvalidRequestException", badRequest}, "operation": {"UnknownOperationException", notOffered}, "method": {"MethodNotAllowedException", notAllowed}},
		strait.Unavailable:     {"": {"ServiceUnavailableException", unavailable}, "confirmation": {"GatewayTimeoutException", http.StatusGatewayTimeout}},
	},
	// What the credentials provider says is iot-shadow-and-data.md, section 7;
	// only the first of its types is known, the others are those of IoT.
	"credentials": {
		strait.Internal:        {"": {"InternalFailureException", internal}},
		strait.Invalid:         {"": {"InvalidRequestException", badRequest}},
		strait.Unauthenticated: {"": {"AccessDeniedException", forbidden}},
		strait.Denied:          {"": {"AccessDeniedException", forbidden}},
		strait.NotFound:        {"": {"ResourceNotFoundException", notFound}},
		strait.TooLarge:        {"": {"InvalidRequestException", badRequest}},
		strait.Limit:           {"": {"LimitExceededException", http.StatusTooManyRequests}},
		strait.Unsupported:     {"": {"InvalidRequestException", badRequest}, "operation": {"UnknownOperationException", notOffered}, "method": {"MethodNotAllowedException", notAllowed}},
		strait.Unavailable:     {"": {"ServiceUnavailableException", unavailable}},
	},
	"lambda": {
		strait.Internal: {"": {"ServiceException", internal}},
		strait.Invalid: {
			"": {"InvalidParameterValueException", badRequest}, "json": {"SerializationException", badRequest},
			"payload": {"InvalidRequestContentException", badRequest}, "request": {"ValidationException", badRequest}, "name": {"ValidationException", badRequest},
		},
		strait.Unauthenticated: restAuthentication,
		strait.Denied:          {"": {"AccessDeniedException", forbidden}},
		strait.NotFound:        {"": {"ResourceNotFoundException", notFound}},
		strait.Exists:          {"": {"ResourceConflictException", conflict}},
		strait.Conflict:        {"": {"ResourceConflictException", conflict}},
		strait.TooLarge:        {"": {"RequestTooLargeException", tooLarge}, "code": {"CodeStorageExceededException", badRequest}},
		strait.Limit:           {"": {"TooManyRequestsException", http.StatusTooManyRequests}, "resource policy": {"PolicyLengthExceededException", badRequest}},
		strait.Precondition:    {"": {"PreconditionFailedException", preFailed}},
		strait.Unsupported:     {"": {"InvalidParameterValueException", badRequest}, "operation": {"UnknownOperationException", notOffered}, "method": {"MethodNotAllowedException", notAllowed}},
		strait.Unavailable:     {"": {"ServiceException", unavailable}},
	},
	"scheduler": {
		strait.Internal:        {"": {"InternalServerException", internal}},
		strait.Invalid:         {"": {"ValidationException", badRequest}},
		strait.Unauthenticated: restAuthentication,
		strait.Denied:          {"": {"AccessDeniedException", forbidden}},
		strait.NotFound:        {"": {"ResourceNotFoundException", notFound}},
		strait.Exists:          {"": {"ConflictException", conflict}},
		strait.Conflict:        {"": {"ConflictException", conflict}},
		strait.TooLarge:        {"": {"ValidationException", badRequest}},
		strait.Limit:           {"": {"ServiceQuotaExceededException", http.StatusPaymentRequired}},
		strait.Unsupported:     {"": {"ValidationException", badRequest}, "operation": {"UnknownOperationException", notOffered}, "method": {"UnknownOperationException", notAllowed}},
		strait.Unavailable:     {"": {"InternalServerException", internal}},
	},
	"strait": {
		strait.Internal:        {"": {"InternalFailureException", internal}},
		strait.Invalid:         {"": {"InvalidRequestException", badRequest}},
		strait.Unauthenticated: restAuthentication,
		strait.Denied:          {"": {"AccessDeniedException", forbidden}},
		strait.NotFound:        {"": {"ResourceNotFoundException", notFound}},
		strait.TooLarge:        {"": {"InvalidRequestException", tooLarge}},
		strait.Unsupported:     {"": {"InvalidRequestException", badRequest}, "operation": {"UnknownOperationException", notOffered}, "method": {"MethodNotAllowedException", notAllowed}},
	},
}

// targetAuthentication is what the services of json 1.1 say of callers that
// could not be proven: always 400.
var targetAuthentication = map[string]reply{
	"": {"IncompleteSignatureException", badRequest}, "credentials": {"MissingAuthenticationTokenException", badRequest},
	"key": {"UnrecognizedClientException", badRequest}, "token": {"UnrecognizedClientException", badRequest}, "expired token": {"ExpiredTokenException", badRequest},
	"signature": {"InvalidSignatureException", badRequest}, "skew": {"InvalidSignatureException", badRequest}, "scope": {"InvalidSignatureException", badRequest},
	"signed headers": {"InvalidSignatureException", badRequest}, "expired request": {"InvalidSignatureException", badRequest}, "early request": {"InvalidSignatureException", badRequest},
}

// targetCodes are those of the services that speak json 1.1.
var targetCodes = map[string]codes{
	"events": {
		strait.Internal:        {"": {"InternalException", internal}},
		strait.Invalid:         {"": {"ValidationException", badRequest}, "json": {"SerializationException", badRequest}},
		strait.Unauthenticated: targetAuthentication,
		strait.Denied:          {"": {"AccessDeniedException", badRequest}},
		strait.NotFound:        {"": {"ResourceNotFoundException", badRequest}},
		strait.Exists:          {"": {"ResourceAlreadyExistsException", badRequest}},
		strait.Conflict:        {"": {"ConcurrentModificationException", badRequest}},
		strait.TooLarge:        {"": {"ValidationException", badRequest}},
		strait.Limit:           {"": {"LimitExceededException", badRequest}},
		strait.Unsupported:     {"": {"ValidationException", badRequest}, "operation": {"UnknownOperationException", badRequest}, "method": {"UnknownOperationException", notFound}},
		strait.Unavailable:     {"": {"InternalException", internal}},
	},
	"logs": {
		strait.Internal:        {"": {"InternalFailure", internal}},
		strait.Invalid:         {"": {"InvalidParameterException", badRequest}, "json": {"SerializationException", badRequest}},
		strait.Unauthenticated: targetAuthentication,
		strait.Denied:          {"": {"AccessDeniedException", badRequest}},
		strait.NotFound:        {"": {"ResourceNotFoundException", badRequest}},
		strait.Exists:          {"": {"ResourceAlreadyExistsException", badRequest}},
		strait.Conflict:        {"": {"OperationAbortedException", badRequest}},
		strait.TooLarge:        {"": {"InvalidParameterException", badRequest}},
		strait.Limit:           {"": {"LimitExceededException", badRequest}},
		strait.Unsupported:     {"": {"InvalidParameterException", badRequest}, "operation": {"UnknownOperationException", badRequest}, "method": {"UnknownOperationException", notFound}},
		strait.Unavailable:     {"": {"ServiceUnavailableException", unavailable}},
	},
}

// dataAuthentication: the data plane says ForbiddenException to all of them,
// but an expired token is told apart, so that SDKs refresh.
var dataAuthentication = map[string]reply{
	"": {"ForbiddenException", forbidden}, "expired token": {"ExpiredTokenException", forbidden},
	"signature": {"InvalidSignatureException", forbidden}, "skew": {"InvalidSignatureException", forbidden},
}

var s3Codes = codes{
	strait.Internal: {"": {"InternalError", internal}},
	strait.Invalid: {
		"": {"InvalidRequest", badRequest}, "argument": {"InvalidArgument", badRequest}, "malformed input": {"InvalidArgument", badRequest}, "bucket name": {"InvalidBucketName", badRequest},
		"key": {"KeyTooLongError", badRequest}, "part": {"InvalidPart", badRequest}, "part order": {"InvalidPartOrder", badRequest},
		"part number": {"InvalidArgument", badRequest}, "part size": {"EntityTooSmall", badRequest}, "digest": {"BadDigest", badRequest},
		"malformed digest": {"InvalidDigest", badRequest}, "incomplete body": {"IncompleteBody", badRequest}, "xml": {"MalformedXML", badRequest},
		"body length": {"IncompleteBody", badRequest}, "chunk": {"IncompleteBody", badRequest}, "chunk size": {"InvalidChunkSizeError", badRequest},
		"length required": {"MissingContentLength", noLength}, "trailer": {"MalformedTrailerError", badRequest}, "payload hash": {"XAmzContentSHA256Mismatch", badRequest}, "payload hash value": {"InvalidArgument", badRequest},
		"range": {"InvalidRange", rangeInvalid}, "uri": {"InvalidURI", badRequest}, "policy document": {"MalformedPolicy", badRequest}, "tag": {"InvalidTag", badRequest},
		"tag count": {"BadRequest", badRequest}, "acl": {"AccessControlListNotSupported", badRequest}, "bucket acl": {"InvalidBucketAclWithObjectOwnership", badRequest}, "form": {"MalformedPOSTRequest", badRequest}, "post policy": {"InvalidPolicyDocument", badRequest}, "request timeout": {"RequestTimeout", badRequest}, "two credentials": {"InvalidArgument", badRequest}, "location": {"IllegalLocationConstraintException", badRequest},
		"no location": {"InvalidLocationConstraint", badRequest}, "part range": {"InvalidPartNumber", rangeInvalid},
	},
	strait.Unauthenticated: {
		"": {"AccessDenied", forbidden}, "key": {"InvalidAccessKeyId", forbidden}, "token": {"InvalidToken", badRequest}, "expired token": {"ExpiredToken", badRequest},
		"signature": {"SignatureDoesNotMatch", forbidden}, "chunk signature": {"SignatureDoesNotMatch", forbidden}, "skew": {"RequestTimeTooSkewed", forbidden},
		"header": {"AuthorizationHeaderMalformed", badRequest}, "scope": {"AuthorizationHeaderMalformed", badRequest}, "query": {"AuthorizationQueryParametersError", badRequest},
		"algorithm": {"InvalidRequest", badRequest}, "form": {"InvalidArgument", badRequest}, "authorization": {"InvalidArgument", badRequest},
	},
	strait.Denied: {"": {"AccessDenied", forbidden}},
	strait.NotFound: {
		"": {"NoSuchKey", notFound}, "bucket": {"NoSuchBucket", notFound}, "key": {"NoSuchKey", notFound}, "upload": {"NoSuchUpload", notFound},
		"policy": {"NoSuchBucketPolicy", notFound}, "tagging": {"NoSuchTagSet", notFound}, "lifecycle": {"NoSuchLifecycleConfiguration", notFound},
		"cors": {"NoSuchCORSConfiguration", notFound}, "website": {"NoSuchWebsiteConfiguration", notFound}, "replication": {"ReplicationConfigurationNotFoundError", notFound},
		"public access block": {"NoSuchPublicAccessBlockConfiguration", notFound},
		"encryption":          {"ServerSideEncryptionConfigurationNotFoundError", notFound}, "object lock": {"ObjectLockConfigurationNotFoundError", notFound},
	},
	strait.Exists:       {"": {"BucketAlreadyOwnedByYou", conflict}},
	strait.Conflict:     {"": {"OperationAborted", conflict}, "bucket not empty": {"BucketNotEmpty", conflict}},
	strait.TooLarge:     {"": {"EntityTooLarge", badRequest}, "metadata": {"MetadataTooLarge", badRequest}, "xml": {"MaxMessageLengthExceeded", badRequest}, "form": {"MaxPostPreDataLengthExceeded", badRequest}},
	strait.Limit:        {"": {"SlowDown", unavailable}, "bucket": {"TooManyBuckets", badRequest}, "resource policy": {"PolicyTooLarge", badRequest}},
	strait.Precondition: {"": {"PreconditionFailed", preFailed}},
	strait.Unsupported:  {"": {"NotImplemented", notOffered}, "method": {"MethodNotAllowed", notAllowed}},
	strait.Unavailable:  {"": {"ServiceUnavailable", unavailable}, "disk": {"SlowDown", unavailable}},
}

// s3Texts are what S3 says where an engine has only said in its own words, in
// lower case, what is wrong (s3-upload.md, section 11).
var s3Texts = map[string]string{
	"NoSuchBucket":       "The specified bucket does not exist",
	"NoSuchKey":          "The specified key does not exist.",
	"NoSuchUpload":       "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
	"BucketNotEmpty":     "The bucket you tried to delete is not empty",
	"InvalidBucketName":  "The specified bucket is not valid.",
	"KeyTooLongError":    "Your key is too long",
	"MetadataTooLarge":   "Your metadata headers exceed the maximum allowed metadata size",
	"PreconditionFailed": "At least one of the pre-conditions you specified did not hold",
	"InvalidAccessKeyId": "The AWS Access Key Id you provided does not exist in our records.",
	"InvalidToken":       "The provided token is malformed or otherwise invalid.",
	"ExpiredToken":       "The provided token has expired.",
	"InvalidPart":        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
	"InvalidPartOrder":   "The list of parts was not in ascending order. Parts must be ordered by part number.",
	"EntityTooSmall":     "Your proposed upload is smaller than the minimum allowed size",
	"EntityTooLarge":     "Your proposed upload exceeds the maximum allowed size",
}
