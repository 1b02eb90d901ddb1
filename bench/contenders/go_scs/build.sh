# Builds the program that is named. The modules come from wherever Go is set up to find them; with
# GO111MODULE=off from the folders of GOPATH.
set -eu
[ "${GO111MODULE:-}" = off ] || export GOFLAGS=-mod=mod
exec go build -o "$1" .
