#!/bin/sh
# programs.sh FOLDER: a whole Kubernetes 1.20 in FOLDER/bin and FOLDER/cni, from Debian 12's packages.
# Debian packages only kubectl; the rest is built from the same source package, whose libraries are
# in it, so nothing else is fetched. Ten minutes on two cores, once: FOLDER/complete says it is done.
set -eu

base=$1
version=v1.20.2
[ "$(cat "$base/complete" 2>/dev/null)" != "$version" ] || exit 0
scratch=$base/scratch
mkdir -p "$base/bin" "$base/cni" "$scratch/lists/partial" "$scratch/packages" "$scratch/root"
cd "$scratch"

# apt with a list of its own: the machine's is left as it is, and may name no sources.
cat >sources.list <<LIST
deb http://deb.debian.org/debian bookworm main
deb-src http://deb.debian.org/debian bookworm main
LIST
apt() {
    apt-get -q -o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$scratch/lists" -o APT::Sandbox::User=root "$@"
}
apt update
(cd packages && apt download golang-1.19-go golang-1.19-src etcd-server containernetworking-plugins \
    containerd runc conntrack socat kubernetes-client)
for package in packages/*.deb; do dpkg -x "$package" root; done
[ -d tree ] || { rm -rf kubernetes-*; apt source --download-only kubernetes; dpkg-source -x kubernetes_*.dsc tree; }

# Module mode refuses Debian's tree ("updates to go.mod needed"); a GOPATH takes it as it is.
mkdir -p go/src/k8s.io
ln -sfn "$scratch/tree" go/src/k8s.io/kubernetes
export GOROOT="$scratch/root/usr/lib/go-1.19" GOPATH="$scratch/go" GOCACHE="$scratch/cache" \
    GO111MODULE=off CGO_ENABLED=0 GOFLAGS= GOPROXY=off GOTOOLCHAIN=local
PATH="$GOROOT/bin:$PATH"
cd go/src/k8s.io/kubernetes

# What Debian's tree leaves out of the generated code: the API's own description.
if [ ! -s pkg/generated/openapi/zz_generated.openapi.go ]; then
    go build -o "$scratch/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    inputs=$(grep -Rl --include=doc.go '+k8s:openapi-gen=true' vendor/k8s.io pkg/apis 2>/dev/null |
        xargs -n1 dirname | sed 's,^vendor/,,; s,^pkg/,k8s.io/kubernetes/pkg/,' | sort -u | paste -sd,)
    extra=k8s.io/apimachinery/pkg/apis/meta/v1,k8s.io/apimachinery/pkg/runtime,k8s.io/apimachinery/pkg/version,k8s.io/apimachinery/pkg/api/resource,k8s.io/apimachinery/pkg/util/intstr
    "$scratch/openapi-gen" --logtostderr --go-header-file hack/boilerplate/boilerplate.generatego.txt \
        --output-file-base zz_generated.openapi --output-package k8s.io/kubernetes/pkg/generated/openapi \
        --report-filename "$scratch/violations" --input-dirs "$inputs,$extra"
fi

package=k8s.io/kubernetes/vendor/k8s.io/component-base/version
flags="-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=20"
# Without the clouds' own drivers and Docker's, which no test has, it's half as much to compile, and
# most of its time the compiler would collect garbage that there is room for.
GOGC=400 go build -tags providerless,dockerless -ldflags "$flags" -o "$base/bin/" \
    ./cmd/kube-apiserver ./cmd/kube-controller-manager ./cmd/kube-scheduler ./cmd/kubelet ./cmd/kube-proxy

# What holds a pod's namespaces.
mkdir -p "$scratch/pause"
printf 'package main\nimport "time"\nfunc main() { for { time.Sleep(time.Hour) } }\n' >"$scratch/pause/main.go"
go build -ldflags "-s -w" -o "$base/bin/pause" "$scratch/pause/main.go"

cd "$scratch/root"
cp -a usr/bin/kubectl usr/bin/etcd usr/bin/containerd* usr/bin/ctr usr/bin/socat usr/sbin/runc usr/sbin/conntrack "$base/bin/"
cp -a usr/lib/cni/* "$base/cni/"
rm -rf "$scratch"
echo "$version" >"$base/complete"
