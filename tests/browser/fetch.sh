#!/bin/sh
# Puts Debian's headless Chromium into the folder $1, without root and without installing it: the package and those that
# it needs and this machine has not are unpacked, not set up. What is on PATH already is used as it is.
set -eu
folder=$1
package=chromium-headless-shell
mkdir -p "$folder"
if [ -x "$folder/run" ]; then exit 0; fi
for name in chromium-headless-shell chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if ! command -v apt-get >/dev/null 2>&1; then
    echo "no Chromium is on PATH, and there is no apt-get to fetch one: its tests are skipped" >&2
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
wanted() { apt-get -s install --no-install-recommends "$package" 2>"$work/why" | awk '$1 == "Inst" { print $2 }'; }
names=$(wanted)
if [ -z "$names" ]; then
    # No package lists yet, as in a fresh container: only root may fetch them, and nobody is made root for it.
    if [ "$(id -u)" -eq 0 ]; then apt-get -qq update || true; fi
    names=$(wanted)
fi
# shellcheck disable=SC2086 # several names
if [ -z "$names" ] || ! (cd "$work" && apt-get -qq download $names 2>"$work/why"); then
    echo "Chromium cannot be fetched, its tests are skipped: $(head -1 "$work/why")" >&2
    exit 0
fi
rm -rf "$folder/root"
for file in "$work"/*.deb; do dpkg-deb -x "$file" "$folder/root"; done
program=$(find "$folder/root/usr/lib" -type f -name 'headless_shell' -o -type f -name 'chromium-headless-shell' | head -1)
libraries=$(find "$folder/root/usr/lib" -type f -name '*.so*' -exec dirname {} \; | sort -u | sed "s#^$folder/#\$here/#" | paste -sd: -)
{
    echo '#!/bin/sh'
    echo 'here=$(cd "$(dirname "$0")" && pwd)'
    echo "LD_LIBRARY_PATH=\"$libraries\" exec \"\$here/${program#"$folder"/}\" \"\$@\""
} >"$folder/run"
chmod +x "$folder/run"
