#!/bin/sh
# Unpacks Debian's nginx with its Lua module into the folder given, without
# installing it: an installed nginx would start a web server on port 80.
# The result runs from where it lies, and may be moved.
set -eu

PACKAGES="nginx libnginx-mod-http-ndk libnginx-mod-http-lua
  lua-resty-core lua-resty-lrucache"

target=$1
if ! command -v apt-get >/dev/null 2>&1; then
  echo "nginx: not a Debian system: install nginx with its Lua module" \
    "(or OpenResty) and set TASKCLIENT_NGINX to the binary" >&2
  exit 1
fi

parent=$(dirname "$target")
mkdir -p "$parent"
work=$(mktemp -d "$parent/nginx.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/debs" "$work/root" "$work/libs"

# The libraries of the Lua module are others in each Debian: the first LuaJIT
# that it names, and the old PCRE where it names that.
libraries() {
  depends=$(LC_ALL=C apt-cache depends libnginx-mod-http-lua 2>/dev/null | sed -n 's/.*Depends: //p')
  echo "$depends" | grep '^libluajit' | head -n 1
  echo "$depends" | grep -x libpcre3
}
fetch() { # the sandboxed user of apt may not write here: warns, works
  (cd "$work/debs" && apt-get download -q $PACKAGES $(libraries)) >"$work/log" 2>&1
}
update() {
  root=
  [ "$(id -u)" = 0 ] || root="sudo -n"
  $root apt-get update -q >>"$work/log" 2>&1
}
fetch || { update && fetch; } || {
  tail -n 5 "$work/log" >&2
  echo "nginx: could not download: $PACKAGES" >&2
  exit 1
}
for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done

# in /lib or /usr/lib, as each package has it
find "$work/root" \( -name 'libpcre.so.*' -o -name 'libluajit-5.1.so.*' \) \
  -exec cp -P {} "$work/libs/" \;
rm -rf "$work/root/lib" "$work/root/etc" "$work/root/var" \
  "$work/root/usr/share/man" "$work/root/usr/share/lintian" \
  "$work/root/usr/lib/"*-linux-gnu*
mv "$work/libs" "$work/root/libs"

cat >"$work/root/nginx" <<'EOF'
#!/bin/sh
# runs the unpacked nginx with the libraries that lie beside it
here=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH="$here/libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
exec "$here/usr/sbin/nginx" "$@"
EOF
chmod 755 "$work/root/nginx"
"$work/root/nginx" -v 2>/dev/null || {
  echo "nginx: the unpacked nginx does not run: $("$work/root/nginx" -v 2>&1)" >&2
  exit 1
}
rm -rf "$target"
mv "$work/root" "$target"
