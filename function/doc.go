// Package function keeps functions and runs them: their configuration and
// code, a Runtime API for each running process, and a durable queue of
// asynchronous events. Begin at Engine.
//
// It refuses to know who may call a function (authz decides before Invoke is
// reached), how a request looks on AWS's wire (api and door do), and what the
// credentials of an execution role are made of (Config.Credentials mints them).
//
// # Environments
//
// A function runs in environments. An environment is one process, its scratch
// directory and one Runtime API, a plain HTTP listener on a loopback port that
// serves this process alone. It works on one event at a time, is used again
// for later events, and is ended when it fails, when the function changes,
// when it has been idle for long, and well before its credentials expire.
// Nothing is frozen between events: background work goes on, as it would not
// on AWS.
//
// # Functions are not trusted
//
// A process is started through the server's own binary (see MaybeSandboxMain),
// which takes rights away from itself and then becomes the runtime:
//
//   - The server may change its uid (root, or CAP_SETUID and CAP_SETGID, and
//     the uids are mapped): each environment gets a uid of its own, each
//     function a gid of its own, so that the kernel keeps environments apart
//     from each other, from --data and from the server. Where the server may
//     mount, the scratch directory also appears as /tmp.
//   - Otherwise: the uid is the server's, and Landlock (Linux 5.13) keeps the
//     process from the files and, by its ptrace rule, from the memory of
//     every other process. Connecting to UNIX sockets is refused by seccomp,
//     because the Landlock of most kernels does not cover it. From ABI 6 on, signals
//     to others are refused, too; before that a function may kill the server.
//     Hard-coded paths in /tmp do not work here, TMPDIR does. A process that
//     left its session, and whose parent ended before the environment did,
//     outlives it, still confined.
//   - In both: Landlock where the kernel has it, no_new_privs, no capabilities,
//     no core files, ptrace and io_uring refused, no open files but stdin
//     (nothing), stdout and stderr (the log), and an environment of the
//     contract's variables only. The server makes itself undumpable.
//   - Where neither is possible, process functions are refused with
//     Unsupported "sandbox", unless Config.Trust.
//
// The Runtime API has no authentication, and a random port is no secret. So
// each connection is checked when it is accepted: the kernel's table of
// sockets names the uid and the inode of the peer's end, and it must be the
// environment's uid or, where uids are shared, a socket held by a process of
// the environment's session. A session cannot be joined from outside.
//
// Networking is not restricted: a function must reach the server, and may
// reach what the host can reach. Files are limited in size, not in sum.
//
// # Memory
//
// An environment that takes more than its function's MemorySize is ended, by
// the kernel where a cgroup v2 is delegated to the server, else by a warden
// that looks at its processes again and again (memory_linux.go says what
// counts). The second way is late by some tens of milliseconds. Engine.Memory
// says which it is; outside Linux there is neither.
package function
