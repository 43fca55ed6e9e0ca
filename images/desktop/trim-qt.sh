# Take away of Qt what programs with plain windows don't use: QML and its designers' tools, which are
# half of it, headers, types for editors, and plugins for displays and databases that aren't here.
cd "$(echo /opt/venv/lib/python3.*/site-packages/PySide6)"
kept='Core|DBus|Gui|Network|OpenGL|OpenGLWidgets|PrintSupport|Svg|SvgWidgets|Test|UiTools|Widgets|Xml'
find . -maxdepth 1 -type f -name 'Qt*' | grep -vE "/Qt($kept)\.abi3\.so$" | xargs rm
find Qt/lib -type f -name 'libQt6*' | grep -vE "/libQt6($kept|XcbQpa)\.so\.6$" | xargs rm
find Qt/plugins/platforms -type f | grep -vE '/libq(xcb|offscreen|minimal)\.so$' | xargs rm
find . -maxdepth 1 -type f ! -name '*.py' ! -name '*.so*' -delete
rm -r libpyside6qml.* Qt/libexec Qt/metatypes Qt/qml Qt/translations \
    doc glue include scripts support typesystems \
    Qt/plugins/designer Qt/plugins/egldeviceintegrations Qt/plugins/qmltooling \
    Qt/plugins/sqldrivers Qt/plugins/vectorimageformats Qt/plugins/wayland-*
