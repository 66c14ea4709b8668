package s3

import (
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// expires sends the header as it came: the SDK takes a time only, and S3 any
// text.
func expires(text string) func(*awss3.Options) {
	return func(o *awss3.Options) {
		if text != "" {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("Expires", text))
		}
	}
}
