"""Strait's runtime for Python handlers: speaks the Lambda Runtime API.

Needs nothing but the standard library (3.6 or later).
"""
import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback

API = "/2018-06-01/runtime"


class Client:
    """One kept connection to the Runtime API; next waits for hours, so there is no timeout."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address)

    def call(self, method, path, body=None, headers=None):
        self.connection.request(method, API + path, body, headers or {})
        answer = self.connection.getresponse()
        data = answer.read()
        return answer, data


class Identity:
    cognito_identity_id = None
    cognito_identity_pool_id = None


class ClientContext:
    def __init__(self, fields):
        self.custom = fields.get("custom")
        self.env = fields.get("env")
        self.client = fields.get("client")


class Context:
    """What a handler gets as its second argument."""

    def __init__(self, headers):
        env = os.environ
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])
        self.function_name = env.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = env.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")  # text, as on AWS
        self.log_group_name = env.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.identity = Identity()
        given = headers.get("Lambda-Runtime-Client-Context")
        self.client_context = ClientContext(json.loads(given)) if given else None
        self.tenant_id = headers.get("Lambda-Runtime-Aws-Tenant-Id")

    def get_remaining_time_in_millis(self):
        return max(self._deadline - int(time.time() * 1000), 0)

    def log(self, message):
        print(message, flush=True)


class Failure(Exception):
    """A failure with a name of the runtime's own."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.report = {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": list(trace)}


def load(handler):
    """Finds the handler "package/module.function"."""
    if "." not in handler:
        raise Failure("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler)
    name, function = handler.rsplit(".", 1)
    try:
        module = importlib.import_module(name.replace("/", "."))
    except ImportError as e:
        raise Failure("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (name, e), frames(e))
    except SyntaxError as e:
        raise Failure("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (name, e), frames(e))
    if not hasattr(module, function):
        raise Failure("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, name))
    return getattr(module, function)


def frames(error):
    """The traceback without this file's own frames and importlib's."""
    kept = [f for f in traceback.extract_tb(error.__traceback__)
            if f.filename != __file__ and "importlib" not in f.filename]
    return traceback.format_list(kept)


def describe(error, request):
    return {"errorMessage": str(error), "errorType": type(error).__name__, "requestId": request, "stackTrace": frames(error)}


class Formatter(logging.Formatter):
    converter = time.gmtime
    request = ""

    def format(self, record):
        record.aws_request_id = Formatter.request
        return super().format(record)


def configure_logging():
    root = logging.getLogger()
    out = logging.StreamHandler(sys.stdout)
    out.setFormatter(Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    root.addHandler(out)


def say(report):
    """Errors appear in the log, too."""
    trace = "".join(report["stackTrace"])
    if trace:
        trace = "Traceback (most recent call last):\n" + trace.rstrip("\n")
    print("[ERROR] %s: %s\n%s" % (report["errorType"], report["errorMessage"], trace), flush=True)


def run(client, handler):
    answer, data = client.call("GET", "/invocation/next")
    if answer.status != 200:
        sys.exit("Runtime API: next answered %d" % answer.status)
    headers = answer.headers
    request = headers["Lambda-Runtime-Aws-Request-Id"]
    trace = headers.get("Lambda-Runtime-Trace-Id")
    if trace:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    Formatter.request = request
    try:
        try:
            event = json.loads(data)
        except ValueError as e:
            raise Failure("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % e)
        result = handler(event, Context(headers))
        try:
            body = json.dumps(result).encode()
        except (TypeError, ValueError) as e:
            raise Failure("Runtime.MarshalError", "Unable to marshal response: %s" % e)
    except Failure as f:
        report, body = dict(f.report, requestId=request), None
    except Exception as e:
        report, body = describe(e, request), None
    if body is None:
        say(report)
    sys.stdout.flush()
    sys.stderr.flush()
    if body is None:
        client.call("POST", "/invocation/%s/error" % request, json.dumps(report).encode(), {"Content-Type": "application/json"})
    else:
        client.call("POST", "/invocation/%s/response" % request, body, {"Content-Type": "application/json"})


def main():
    if hasattr(sys.stdout, "reconfigure"):  # 3.7
        # What was printed must be in the log although the process is killed.
        sys.stdout.reconfigure(line_buffering=True)
    client = Client(os.environ["AWS_LAMBDA_RUNTIME_API"])
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    configure_logging()
    try:
        handler = load(os.environ["_HANDLER"])
    except Failure as f:
        report = f.report
    except Exception as e:
        report = describe(e, "")
    else:
        while True:
            run(client, handler)
    say(report)
    client.call("POST", "/init/error", json.dumps(report).encode(), {"Lambda-Runtime-Function-Error-Type": report["errorType"]})
    sys.exit(1)


if __name__ == "__main__":
    # A handler may be called "bootstrap.handler": this file must not be found for it.
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
    main()
