# Take CrystFEL's own programs out of upstream's /usr/local, which is mounted, and nothing that isn't
# named here.
set -e
cd /opt/upstream
for name in adjust_detector align_detector ambigator cell_explorer cell_tool check_hkl compare_hkl \
    crystfel get_hkl indexamajig list_events make_pixelmap partialator process_hkl render_hkl \
    show_residuals whirligig; do
    cp "bin/$name" /usr/local/bin
done
# Millepede's, which align_detector runs; not every build of upstream has it.
[ ! -e bin/pede ] || cp bin/pede /usr/local/bin
# CrystFEL's library and the free ones that it's linked with, indexers among them; icons, symmetry.
cp -P lib/x86_64-linux-gnu/*.so* /usr/local/lib
cp -R share/. /usr/local/share
/usr/sbin/ldconfig
# The list of software knows by itself only packages.
version=$(indexamajig --version | sed -n 's/^CrystFEL: //p')
mkdir -p /opt/beamhub/programs
printf 'CrystFEL\t%s\tGPL-3.0-or-later\n' "${version:?is told by no indexamajig}" \
    >/opt/beamhub/programs/crystfel
