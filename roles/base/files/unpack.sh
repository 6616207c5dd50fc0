# shellcheck shell=sh
# unpack.sh NAME keep|remove LIST [ROOT]: lays the archive NAME.new over the host, and keeps the list of its files. What the one before
# had and this one has not is removed, if it shall be: a Python module that is left would still be found.
set -eu
root=${4:-}
cd "$root/opt/berth/laid"
export LC_ALL=C
if [ "$2" = remove ] && [ -e "$1.tar" ]; then
    tar --list --file="$1.new" | sort >"$1.names"
    tar --list --file="$1.tar" | sort | comm -23 - "$1.names" | sed "s,^,$root/," | tr '\n' '\0' | xargs -0 -r rm -f
    rm "$1.names"
fi
tar --extract --same-permissions --directory="$root/" --file="$1.new"
# A service that may not write there compiles all of it at each of its starts.
if [ -d "$root/opt/berth/lib" ]; then
    python3 -m compileall -q "$root/opt/berth/lib"
fi
mv "$1.new" "$1.tar"
printf '%s' "$3" >"$1.list"
