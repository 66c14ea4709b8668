// A module of its own, so that the peer is no dependency of Strait's: it is
// built from here and run as a separate program.
module strait/bench/objects/peers/minio

go 1.26.0
