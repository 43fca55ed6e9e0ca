# Install a requirements.txt into the environment of an image, inside its build. A recipe does so
# twice: in the stage 'build', which fills its cache, and from that cache in the image.
[ -z "${TORCH:-}" ] || export UV_TORCH_BACKEND="$TORCH"
exec /opt/tools/bin/uv pip install --python /opt/venv --constraint /opt/source/constraints.txt \
    --override /opt/source/overrides.txt --requirement /opt/source/requirements.txt "$@"
