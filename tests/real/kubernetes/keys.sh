#!/bin/sh
# keys.sh FOLDER: certificates of a cluster of the tests' own, for a month.
set -eu
cd "$1"
# Python 3.13, which the portal's image has, refuses authorities that don't say what they are for.
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=beamhub-tests -days 30 \
    -addext keyUsage=critical,keyCertSign,cRLSign
signed() {
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2"
    printf '%s\n' "$3" authorityKeyIdentifier=keyid >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 30 \
        -extfile "$1.ext"
}
signed api /CN=kube-apiserver "subjectAltName=IP:10.89.0.2,IP:127.0.0.1,IP:10.89.128.1,DNS:kubernetes.default.svc
extendedKeyUsage=serverAuth"
signed admin /O=system:masters/CN=admin "extendedKeyUsage=clientAuth"
openssl genrsa -out accounts.key 2048
openssl rsa -in accounts.key -pubout -out accounts.pub
