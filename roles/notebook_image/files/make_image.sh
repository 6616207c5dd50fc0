# shellcheck shell=bash
# make_image.sh BASE SUITE MIRROR PACKAGES [IMAGE FOLDER ARCHIVE [NAME...]]
# Makes BASE, a bare Debian SUITE from MIRROR (empty: the distribution's own) with PACKAGES (a,b,c). With an IMAGE, makes that one: loads
# it from ARCHIVE, or builds FOLDER on BASE, with those variables of the environment as its arguments, and keeps it in ARCHIVE (empty:
# none are kept). Does nothing where it is there. Prints what it made.
set -euo pipefail
base=$1 suite=$2 mirror=$3 packages=$4 image=${5:-} folder=${6:-} archive=${7:-}
shift $(($# < 7 ? $# : 7))

# A run that broke off may still be at it.
exec 9>/run/berth-image.lock
flock 9

is_there() {
    docker image inspect "$1" >/dev/null 2>&1
}

make_base() {
    if is_there "$base"; then
        return
    fi
    # The pipe spares writing 200 MB to disk and reading them again.
    mmdebstrap --quiet --variant=minbase --include="$packages" --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" - ${mirror:+"$mirror"} | docker import - "$base" >/dev/null
    echo "$base"
}

# Written beside and renamed: an archive is complete or not there, whoever else may be building the same image.
keep() {
    local kept=${archive%/*}
    mkdir -p "$kept"
    docker image save --output "$archive.$HOSTNAME.part" "$image"
    mv "$archive.$HOSTNAME.part" "$archive"
    # Those that nobody used for a month.
    find "$kept" -maxdepth 1 -name '*.tar' -atime +30 -delete
}

if [ -z "$image" ]; then
    make_base
elif ! is_there "$image"; then
    if [ -n "$archive" ] && [ -e "$archive" ]; then
        docker image load --quiet --input "$archive" >/dev/null
    else
        make_base
        arguments=(--build-arg "BASE=$base")
        for name; do
            arguments+=(--build-arg "$name")
        done
        # The engine's own builder: the other one is a package of its own, which not every host has.
        DOCKER_BUILDKIT=0 docker image build --quiet --tag "$image" "${arguments[@]}" "$folder" >/dev/null
        if [ -n "$archive" ]; then
            keep
        fi
    fi
    echo "$image"
fi
