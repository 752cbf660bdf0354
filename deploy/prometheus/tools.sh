#!/bin/sh
# Puts Debian's promtool, amtool, prometheus and alertmanager into the folder $1, without root and without installing
# them: the packages are unpacked, not set up. What is on PATH already is used as it is.
set -eu
folder=$1
mkdir -p "$folder/bin"
find_all() {
    for name in promtool amtool prometheus prometheus-alertmanager; do
        [ -x "$folder/bin/$name" ] || command -v "$name" >/dev/null 2>&1 || return 1
    done
}
if find_all; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "promtool and amtool are not on PATH, and there is no apt-get to fetch them: their tests are skipped" >&2
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
fetch() { (cd "$work" && apt-get -qq download prometheus prometheus-alertmanager 2>"$work/why"); }
if ! fetch; then
    # No package lists yet, as in a fresh container: only root may fetch them, and nobody is made root for it.
    if [ "$(id -u)" -eq 0 ]; then apt-get -qq update || true; fi
    fetch || { echo "promtool and amtool cannot be fetched, their tests are skipped: $(head -1 "$work/why")" >&2; exit 0; }
fi
for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
for name in promtool amtool prometheus prometheus-alertmanager; do
    cp "$work/root/usr/bin/$name" "$folder/bin/$name"
done
# Debian's alertmanager reads its templates from a fixed folder, where only root may write. In this copy the folder is
# replaced by a path of the same length that means the one in which it runs.
fixed=/usr/share/prometheus/alertmanager
here=./././././././././././././././././
mkdir -p "$folder/templates"
cp "$work/root$fixed"/*.tmpl "$folder/templates/"
LC_ALL=C sed -i "s#$fixed#$here#g" "$folder/bin/prometheus-alertmanager"
