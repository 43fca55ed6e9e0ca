# Run a command that downloads, inside a build. The facility's certificates and package index come
# as build secrets: neither they nor a password in them stay in the image.
[ ! -s /run/secrets/ca ] || export SSL_CERT_FILE=/run/secrets/ca PIP_CERT=/run/secrets/ca
if [ -s /run/secrets/index ]; then
    UV_DEFAULT_INDEX=$(cat /run/secrets/index)
    export UV_DEFAULT_INDEX PIP_INDEX_URL="$UV_DEFAULT_INDEX"
fi
exec "$@"
