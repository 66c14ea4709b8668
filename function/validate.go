package function

import (
	"regexp"
	"runtime"
	"strings"

	"strait"
)

var (
	functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	variableName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
	roleARN      = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[a-zA-Z0-9+=,.@_/-]{1,640}$`)
	handlerName  = regexp.MustCompile(`^[^\s]{1,128}$`)
)

func checkName(name string) error {
	if !functionName.MatchString(name) {
		return strait.Errorf(strait.Invalid, "name", "a function's name is 1 to 64 of a-z A-Z 0-9 _ -")
	}
	return nil
}

// check judges a whole configuration.
func (f *Function) check() error {
	if err := checkName(f.Name); err != nil {
		return err
	}
	if err := checkRuntime(f.Runtime); err != nil {
		return err
	}
	switch {
	case !roleARN.MatchString(string(f.Role)):
		return strait.Errorf(strait.Invalid, "role", "%.100q is not the ARN of a role", string(f.Role))
	case !handlerName.MatchString(f.Handler) && !(f.Handler == "" && isProvided(f.Runtime)):
		return strait.Errorf(strait.Invalid, "handler", "a handler is 1 to 128 characters without spaces, such as index.handler")
	case f.Architecture != "" && f.Architecture != "x86_64" && f.Architecture != "arm64":
		return strait.Errorf(strait.Invalid, "architecture", "the architecture %.20q is none: it is x86_64 or arm64", f.Architecture)
	case isProvided(f.Runtime) && f.Architecture != "" && f.Architecture != machine():
		return strait.Errorf(strait.Invalid, "architecture", "functions run on this machine, which is %s and not %s", machine(), f.Architecture)
	case f.Timeout < 1 || f.Timeout > 900:
		return strait.Errorf(strait.Invalid, "timeout", "the timeout is 1 to 900 seconds, not %d", f.Timeout)
	case f.MemorySize < 128 || f.MemorySize > 10240:
		return strait.Errorf(strait.Invalid, "memory", "the memory size is 128 to 10240 MB, not %d", f.MemorySize)
	case len(f.Description) > 256:
		return strait.Errorf(strait.Invalid, "description", "a description has at most 256 bytes")
	case f.Reserved != nil && (*f.Reserved < 0 || *f.Reserved > 1000):
		return strait.Errorf(strait.Invalid, "concurrency", "the reserved concurrency is 0 to 1000, not %d", *f.Reserved)
	case len(f.Tags) > 50:
		return strait.Errorf(strait.Invalid, "tags", "Number of tags exceeds resource tag limit.")
	}
	return checkVariables(f.Environment)
}

// machine is this machine's architecture as functions name it.
func machine() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

func checkVariables(vars map[string]string) error {
	size := 0
	for name, value := range vars {
		size += len(name) + len(value)
		switch {
		case !variableName.MatchString(name):
			return strait.Errorf(strait.Invalid, "environment", "%.64q is no name of an environment variable", name)
		case reserved(name):
			return strait.Errorf(strait.Invalid, "environment", "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", name)
		case strings.ContainsRune(value, 0):
			return strait.Errorf(strait.Invalid, "environment", "the value of %s holds a zero byte", name)
		}
	}
	if size > MaxVariables {
		return strait.Errorf(strait.Invalid, "environment", "the environment variables have %d bytes; at most %d are taken", size, MaxVariables)
	}
	return nil
}

func reserved(name string) bool {
	switch name {
	case "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR":
		return true
	}
	return strings.HasPrefix(name, "AWS_LAMBDA_")
}
