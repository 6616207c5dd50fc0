# shellcheck shell=bash
# make_image.sh BASE SUITE MIRROR PACKAGES [IMAGE FOLDER ARCHIVE [NAME...]]
# Makes BASE, a bare Debian SUITE from MIRROR (empty: the distribution's own) with PACKAGES (a,b,c). With an IMAGE, makes that one: loads
# it from ARCHIVE, or builds FOLDER on BASE, with those variables of the environment as its arguments, and keeps it in ARCHIVE (empty:
# none are kept). Does nothing where it is there. Prints what it made.
set -euo pipefail

is_there() {
    docker image inspect "$1" >/dev/null 2>&1
}

make_base() { # BASE SUITE MIRROR PACKAGES
    if is_there "$1"; then
        return
    fi
    # The pipe spares writing 200 MB to disk and reading them again. What the engine makes of nothing is no base.
    mmdebstrap --quiet --variant=minbase --include="$4" --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$2" - ${3:+"$3"} | docker import - "$1" >/dev/null || {
        docker image rm --force "$1" >/dev/null 2>&1 || true
        return 1
    }
    echo "$1"
}

build() { # BASE IMAGE FOLDER NAME...
    local image=$2 folder=$3 arguments=(--build-arg "BASE=$1") name said
    shift 3
    for name; do
        arguments+=(--build-arg "$name")
    done
    # The engine's own builder: the other one is a package of its own, which not every host has.
    said=$(DOCKER_BUILDKIT=0 docker image build --quiet --force-rm --tag "$image" "${arguments[@]}" "$folder" 2>&1) || {
        echo "The notebook image was not built:" >&2
        # Without the steps themselves, which are long.
        grep -v '^Step \|^ --->\|^Removing intermediate ' <<<"$said" | sed 's/The command .* returned/A step returned/' | tail -n 20 >&2
        return 1
    }
}

# Written beside and renamed: an archive is complete or not there, whoever else may be building the same image.
keep() { # IMAGE ARCHIVE
    local part=$2.$HOSTNAME.part
    mkdir -p "${2%/*}"
    docker image save --output "$part" "$1"
    mv "$part" "$2"
    # Those that nobody used for a month.
    find "${2%/*}" -maxdepth 1 -name '*.tar' -atime +30 -delete
}

main() {
    local base=("${@:1:4}") image=${5:-} folder=${6:-} archive=${7:-}
    # A run that broke off may still be at it.
    exec 9>/run/berth-image.lock
    flock 9
    if [ -z "$image" ]; then
        make_base "${base[@]}"
    elif ! is_there "$image"; then
        if [ -n "$archive" ] && [ -e "$archive" ]; then
            docker image load --quiet --input "$archive" >/dev/null
        else
            make_base "${base[@]}"
            build "$1" "$image" "$folder" "${@:8}"
            if [ -n "$archive" ]; then
                keep "$image" "$archive"
            fi
        fi
        echo "$image"
    fi
}

# What it runs shall not read the rest of this from standard input.
main "$@" </dev/null
