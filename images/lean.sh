# Take away what wheels bring and nobody needs here: debugging symbols (four fifths of hdf5plugin),
# and the source maps of JupyterLab's scripts. What packages may import, such as tests, stays.
find "$1" -type f -name '*.so*' -exec strip --strip-unneeded {} + 2>/dev/null || true
find "$1" -type f \( -name '*.css.map' -o -name '*.js.map' \) -delete
