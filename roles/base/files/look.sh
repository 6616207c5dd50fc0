# shellcheck shell=sh
# look.sh LAID READS FOLDER...: prints the checksum of each archive LAID/NAME.tar whose files are all as they were laid, and "outdated NAME" if
# a unit that READS/NAME tells of was started before something that it reads has changed: then a converge broke off before its
# handlers. Each line of READS/NAME is a unit, and the files, folders and links that it reads when it starts.
# "active UNIT" and "enabled UNIT" tell of Berth's units, and of the engine's, which run, and which start with the host;
# "file OWNER GROUP MODE PATH" and "SHA256  PATH" of each file in one of the FOLDERs what it is and holds.
set -u
laid=$1
reads=$2
shift 2

mkdir -p "$laid"
for archive in "$laid"/*.tar; do
    if tar --diff --directory=/ --file="$archive" >/dev/null 2>&1; then
        sha256sum <"$archive" | cut -d ' ' -f 1
    fi
done

# The time of a change of a file's own record (ctime), since the contents' is made up for what comes in an archive. A service is
# in its state since it has started or was reloaded; a socket's changes with each connection.
is_outdated() {
    case $1 in
        *.service) property=StateChangeTimestamp ;;
        *) property=ActiveEnterTimestamp ;;
    esac
    state=$(systemctl show --timestamp=us+utc --property=ActiveState --property="$property" "$1")
    unit_since=$(echo "$state" | sed -n "s/^$property=//p")
    shift
    case $state in
        *ActiveState=active*)
            find "$@" -name __pycache__ -prune -o \( -type f -o -type l \) -newerct "$unit_since" -print -quit 2>/dev/null | grep -q .
            ;;
        *) false ;;
    esac
}

for list in "$reads"/*; do
    [ -e "$list" ] || continue
    while read -r unit paths; do
        # shellcheck disable=SC2086 # several paths, with wildcards
        if is_outdated "$unit" $paths; then
            echo "outdated ${list##*/}"
        fi
    done <"$list"
done

systemctl list-units --plain --no-legend --full --state=active 'berth-*' docker.service | sed 's/ .*//; s/^/active /'
systemctl list-unit-files --plain --no-legend --full --state=enabled 'berth-*' docker.service | sed 's/ .*//; s/^/enabled /'

find "$@" -maxdepth 1 -type f -printf 'file %u %g %m %p\n' -exec sha256sum {} + 2>/dev/null
# A folder that is not there yet has no files in it.
true
