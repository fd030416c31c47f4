#!/usr/bin/env bash
# What Python packages cannot bring: `screen` = Qt's X libraries and a virtual display, `python NAME` = venv and
# headers for that python, `make` = make. Installs on Debian and Ubuntu when root; else says what is missing.
set -eu -o pipefail

need=()
case "${1:?screen, python or make}" in
  screen)
    [ "$(uname)" = Linux ] || exit 0
    command -v Xvfb >/dev/null && command -v xvfb-run >/dev/null || need+=(xvfb xauth)
    libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p)
    while read -r library package; do
      grep -q "$library" <<<"$libraries" || need+=("$package")
    done <<'LIBRARIES'
libGL.so.1 libgl1
libEGL.so.1 libegl1
libOpenGL.so.0 libopengl0
libGLX_mesa.so.0 libgl1-mesa-dri
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-shm.so.0 libxcb-shm0
libxcb-xfixes.so.0 libxcb-xfixes0
libxcb-xinerama.so.0 libxcb-xinerama0
libxcb-xkb.so.1 libxcb-xkb1
libX11-xcb.so.1 libx11-xcb1
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libglib-2.0.so.0 libglib2.0-0
LIBRARIES
    # Without any font Qt draws empty boxes, and screenshots say nothing.
    [ -n "$(ls /usr/share/fonts 2>/dev/null)" ] || need+=(fonts-dejavu-core)
    ;;
  python)
    "${2:?which python}" -c 'import ensurepip, venv' 2>/dev/null || need+=(python3-venv)
    ;;
  make) need+=(make) ;;
  *) echo "expected screen, python or make, got $1" >&2; exit 2 ;;
esac

[ "${#need[@]}" -gt 0 ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
else
  echo "Missing: ${need[*]} (names of Debian and Ubuntu)." >&2
  echo "Install them as root: apt-get install ${need[*]}" >&2
  # With a display of one's own nothing virtual is needed, and Qt itself says which library it misses.
  [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || exit 1
fi
