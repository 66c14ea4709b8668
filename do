#!/usr/bin/env bash
# The tasks of this repository: ./do VERB [ARGUMENT...]
#   demo    run the main job, narrated (strait demo)
#   test    install what the tests need and run them all
#   build   the binaries, into bin/
#   peers   another S3 server, into bin/: a story sends to it when it is there
#   cross   the agent for other systems, and its sizes
#   fuzz    every fuzz target for some seconds each (./do fuzz 20s)
#   bench   the benchmarks: credentials, the start, rules and functions, MQTT, objects, the agent, policies (not part of the tests)
#   soak    half an hour of mixed MQTT traffic (./do soak 10m; not part of the tests)
#   oracle  versitygw's test client judges S3, case by case (minutes; not part of the tests)
#   crash   the power-loss and kill tests at length (not part of the tests)
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '%s\n' "$*" >&2; }

demo() { exec go run ./cmd/strait demo "$@"; }

build() {
  mkdir -p bin
  go build -trimpath -o bin/ ./cmd/strait ./cmd/strait-agent
  CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/strait-vend
}

# peers builds versitygw, the S3 server of others that the agent is tried on,
# into bin/, from a module of its own. It takes a while the first time.
peers() { (cd bench/objects/peers/versitygw && go build -trimpath -o ../../../../bin/ github.com/versity/versitygw/cmd/versitygw); }

# clients installs the real programs that stories drive. What cannot be had is
# said loudly here, and a story that misses its client says so again; with
# CI=true it fails.
clients() {
  local want=() p
  for p in awscli python3-boto3 python3-awscrt mosquitto-clients mosquitto strace rclone s3cmd; do
    dpkg -s "$p" >/dev/null 2>&1 || want+=("$p")
  done
  if [ ${#want[@]} -gt 0 ]; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
      apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${want[@]}" >&2 || say "LEFT OUT: could not install ${want[*]}"
    else
      say "LEFT OUT: ${want[*]} (not Debian, or not root)"
    fi
  fi
  if command -v npm >/dev/null; then
    (cd story/node && { { [ -d node_modules/aws-iot-device-sdk-v2 ] && [ -d node_modules/mqtt ]; } || npm ci --ignore-scripts --no-audit --no-fund >&2; }) || say "LEFT OUT: the Node clients (npm ci failed)"
    (cd story/function/node && { [ -d node_modules/@aws-sdk/client-sts ] || npm ci --ignore-scripts --no-audit --no-fund >&2; }) || say "LEFT OUT: the Node function (npm ci failed)"
    (cd story/s3/node && { [ -d node_modules/@aws-sdk/lib-storage ] || npm ci --ignore-scripts --no-audit --no-fund >&2; }) || say "LEFT OUT: the JS SDK's S3 client (npm ci failed)"
  else
    say "LEFT OUT: the Node clients (no npm)"
  fi
}

# cross builds the agent for what devices are, stripped, and says how large it
# is. The first time it compiles the standard library for each; then it links.
cross() {
  local out limit=$((16 << 20)) target os arch size
  out=$(mktemp -d)
  for target in linux/arm64 linux/arm windows/amd64 darwin/arm64; do
    os=${target%/*} arch=${target#*/}
    GOOS=$os GOARCH=$arch GOARM=6 CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$out/agent" ./cmd/strait-agent || { rm -r "$out"; exit 1; }
    size=$(wc -c <"$out/agent")
    printf '%-14s %5.1f MiB\n' "$target" "$(awk "BEGIN { print $size / 1048576 }")"
    [ "$size" -lt "$limit" ] || { say "the agent for $target is larger than 16 MiB"; rm -r "$out"; exit 1; }
  done
  rm -r "$out"
}

test_() {
  clients
  local unformatted race=() cold=
  unformatted=$(gofmt -l $(git ls-files '*.go'))
  [ -z "$unformatted" ] || { say "gofmt would change: $unformatted"; exit 1; }
  # Vetting compiles what the tests need. A machine where that takes long has
  # never seen this tree, and would compile all of it again for the race
  # detector, AWS's SDKs longest of all.
  local began=$SECONDS raced='^strait/(story|policy$)' plain=(./policy)
  go vet ./...
  if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "$(go env CC)" >/dev/null; then race=(-race); else say "no C compiler: tests run without the race detector"; fi
  if [ $((SECONDS - began)) -gt 90 ]; then
    cold=yes
    say "LEFT OUT: the race detector in the rooms whose tests link AWS's SDKs (everything had to be compiled; the next ./do test has it)"
    raced='^strait/(story|policy$|api$|cmd/|device$|identity/sigv4$|object/s3$|server$|setup$)'
    plain+=(./api ./cmd/... ./device ./identity/sigv4 ./object/s3 ./server ./setup)
  fi
  [ -x bin/versitygw ] || { [ -z "$cold" ] && timeout 15 ./do peers; } || say "LEFT OUT: versitygw (not built within 15 s: ./do peers)"
  say "vetted after $SECONDS s"
  # Rooms with the race detector; stories, which drive built binaries, without;
  # nor policy, where nothing runs beside anything else. Three at once on two
  # cores: they wait a third of their time.
  go test "${race[@]}" -vet=off -p 3 -timeout 12m "$@" $(go list ./... | grep -vE "$raced")
  go test -vet=off -p 3 -timeout 12m "$@" "${plain[@]}"
  say "rooms tested after $SECONDS s"
  # What the race detector cannot judge: memory and allocations of decisions.
  go test -vet=off -timeout 5m "$@" -run '^(TestFloodMemory|TestGuardAllocatesNothing)$' ./authz
  # With -v they say which clients they drove, each step, what happened to the
  # device, the seeds and the agent's memory. They wait a good part of their
  # time, for programs that start and for each other.
  go test -vet=off -p 3 -parallel 3 -timeout 20m -v "$@" ./story/... | grep -vE '^ *=== '
  say "stories told after $SECONDS s"
  # The agent for other systems: links only, where they were built before. A
  # machine that has had to compile everything has little time left for them.
  local left=$((870 - SECONDS))
  left=$((left < 20 ? 20 : left > 100 ? 100 : left))
  timeout "$left" ./do cross || { [ $? = 124 ] && say "LEFT OUT: the rest of the agent's cross-builds (not within $left s: ./do cross)"; }
}

fuzz() {
  local time=${1:-10s} line
  grep -rlE '^func Fuzz' --include='*_test.go' --exclude-dir=bench . | xargs -n1 dirname | sort -u | while read -r dir; do
    grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/func //' | while read -r name; do
      go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 1s "$dir"
    done
  done
}

bench() { (cd bench && go run ./vend "$@" && go run ./start && go run ./rules && go run ./mqtt -rounds 3 -time 500ms -crowd 1000 && go run ./objects -rounds 3 && go run ./device -rounds 3) && (cd bench/policy && go run .); }

crash() { STRAIT_CRASH_LONG=1 go test -count=1 -timeout 90m -v ./story/power/... ./story/device/... ./object/dir/... "$@"; }

soak() { STRAIT_SOAK=${1:-30m} go test -count=1 -timeout 0 -run '^TestSoak$' -v ./story/soak; }

oracle() { STRAIT_ORACLE=1 go test -count=1 -timeout 60m -v -run '^TestOracle$' ./story/s3 "$@"; }

case "${1:-}" in
demo | build | peers | cross | fuzz | bench | soak | crash | oracle) verb=$1; shift; "$verb" "$@" ;;
test) shift; test_ "$@" ;;
*) sed -n '2,12p' "$0"; exit 2 ;;
esac
