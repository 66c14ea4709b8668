// Strait's runtime for Node handlers: speaks the Lambda Runtime API with
// nothing but Node's own modules (16 or later).
import http from "node:http";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

const api = new URL("http://" + process.env.AWS_LAMBDA_RUNTIME_API);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let request = "";

// next waits for hours, so there is no timeout.
function call(method, where, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const options = { method, agent, host: api.hostname, port: api.port, path: "/2018-06-01/runtime" + where, headers: { ...headers } };
    if (body !== undefined) {
      options.headers["Content-Type"] = "application/json";
      options.headers["Content-Length"] = Buffer.byteLength(body);
    }
    const req = http.request(options, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts).toString() }));
      answer.on("error", reject);
    });
    req.on("error", reject);
    req.end(body);
  });
}

class Failure extends Error {
  constructor(kind, message, cause) {
    super(message);
    this.name = kind;
    if (cause?.stack) this.stack = cause.stack;
  }
}

function describe(error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: String(error?.message ?? error), trace: [] };
  }
  return { errorType: error.name || "Error", errorMessage: error.message, trace: String(error.stack ?? "").split("\n") };
}

async function importFile(file) {
  if (file.endsWith(".mjs")) return import(pathToFileURL(file).href);
  try {
    return createRequire(file)(file);
  } catch (e) {
    if (e?.code !== "ERR_REQUIRE_ESM" && e?.code !== "ERR_REQUIRE_ASYNC_MODULE" && !(e instanceof SyntaxError && /import|export/.test(e.message))) throw e;
    return import(pathToFileURL(file).href); // "type": "module"
  }
}

// load finds "dir/module.export.nested".
async function load(handler) {
  const base = path.basename(handler);
  const dot = base.indexOf(".");
  if (dot < 1 || dot === base.length - 1 || handler.split(/[\\/]/).includes("..")) {
    throw new Failure("Runtime.MalformedHandlerName", "Bad handler");
  }
  const stem = path.join(process.env.LAMBDA_TASK_ROOT, path.dirname(handler), base.slice(0, dot));
  const file = ["", ".js", ".mjs", ".cjs"].map((end) => stem + end).find((f) => fs.existsSync(f) && fs.statSync(f).isFile());
  if (!file) throw new Failure("Runtime.ImportModuleError", `Error: Cannot find module '${base.slice(0, dot)}'`);
  let module;
  try {
    module = await importFile(file);
  } catch (e) {
    if (e instanceof SyntaxError) throw new Failure("Runtime.UserCodeSyntaxError", `SyntaxError: ${e.message}`, e);
    if (e?.code === "MODULE_NOT_FOUND" || e?.code === "ERR_MODULE_NOT_FOUND") throw new Failure("Runtime.ImportModuleError", `Error: ${e.message}`, e);
    throw e;
  }
  const names = base.slice(dot + 1).split(".");
  let found = names.reduce((at, name) => at?.[name], module);
  if (found === undefined) found = names.reduce((at, name) => at?.[name], module?.default);
  if (typeof found !== "function") throw new Failure("Runtime.HandlerNotFound", `${handler} is undefined or not exported`);
  return found;
}

function context(headers, state) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const env = process.env;
  const given = headers["lambda-runtime-client-context"];
  const c = {
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: given ? JSON.parse(given) : undefined,
    getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
    done: (e, r) => state.finish(e, r),
    succeed: (r) => state.finish(null, r),
    fail: (e) => state.finish(e ?? new Error("handled")),
  };
  Object.defineProperty(c, "callbackWaitsForEmptyEventLoop", { get: () => state.wait, set: (v) => { state.wait = Boolean(v); } });
  return c;
}

// handle resolves with the result of either style: async, or with a callback.
function handle(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const state = { wait: true, settled: false };
    const settle = (error, result) => {
      process.removeListener("beforeExit", onEmpty);
      error !== null && error !== undefined ? reject(error) : resolve(result);
    };
    let pending;
    const onEmpty = () => settle(...(pending ?? [null, null]));
    state.finish = (error, result) => {
      if (state.settled) return;
      state.settled = true;
      // An error is told at once; a result waits for the event loop, as asked.
      if (state.wait && (error === null || error === undefined)) pending = [error, result];
      else settle(error, result);
    };
    // Runs when nothing is left to do, also when no callback came.
    process.once("beforeExit", onEmpty);
    let answer;
    try {
      answer = handler(event, context(headers, state), state.finish);
    } catch (e) {
      return settle(e);
    }
    if (typeof answer?.then === "function") answer.then((r) => settle(null, r), (e) => settle(e ?? new Error("rejected")));
  });
}

function lines() {
  for (const [name, level] of [["log", "INFO"], ["debug", "DEBUG"], ["info", "INFO"], ["warn", "WARN"], ["error", "ERROR"], ["trace", "TRACE"]]) {
    console[name] = (...args) => {
      const text = format(...args).replace(/\n/g, "\r"); // one entry, as on AWS
      fs.writeSync(1, `${new Date().toISOString()}\t${request || "undefined"}\t${level}\t${text}\n`);
    };
  }
}

async function run(handler) {
  const next = await call("GET", "/invocation/next");
  if (next.status !== 200) throw new Error(`Runtime API: next answered ${next.status}`);
  request = next.headers["lambda-runtime-aws-request-id"];
  const trace = next.headers["lambda-runtime-trace-id"];
  if (trace) process.env._X_AMZN_TRACE_ID = trace;
  else delete process.env._X_AMZN_TRACE_ID;
  let body, failure;
  try {
    const result = await handle(handler, JSON.parse(next.body), next.headers);
    body = JSON.stringify(result === undefined ? null : result) ?? "null";
  } catch (e) {
    failure = describe(e);
  }
  if (failure) {
    console.error("Invoke Error", JSON.stringify(failure));
    await call("POST", `/invocation/${request}/error`, JSON.stringify(failure));
  } else {
    await call("POST", `/invocation/${request}/response`, body);
  }
}

// Told to the Runtime API before the process ends: a promise that nobody waits for, or a throw in a timer.
async function last(kind, error) {
  const failure = describe(error);
  failure.errorType = kind;
  failure.errorMessage = `${error?.name ?? "Error"}: ${error?.message ?? error}`;
  fs.writeSync(1, `${new Date().toISOString()}\t${request}\tERROR\t${kind}\t${JSON.stringify(failure)}\n`);
  try {
    await call("POST", request ? `/invocation/${request}/error` : "/init/error", JSON.stringify(failure));
  } finally {
    process.exit(request ? 128 : 1);
  }
}

process.on("uncaughtException", (e) => last("Runtime.UncaughtException", e));
process.on("unhandledRejection", (e) => last("Runtime.UnhandledPromiseRejection", e));
lines();

let handler;
try {
  handler = await load(process.env._HANDLER ?? "");
} catch (e) {
  const failure = describe(e);
  fs.writeSync(1, `${new Date().toISOString()}\tundefined\tERROR\tUncaught Exception\t${JSON.stringify(failure)}\n`);
  await call("POST", "/init/error", JSON.stringify(failure), { "Lambda-Runtime-Function-Error-Type": failure.errorType });
  process.exit(1);
}
for (;;) await run(handler);
